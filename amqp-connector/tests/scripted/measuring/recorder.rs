//! A recorder of the facade `metrics` that keeps what it is told, for tests to compare.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata,
    SharedString, Unit,
};

type Hook = Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>;

/// Clones are the same recorder.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    kept: Arc<Mutex<BTreeMap<String, Arc<Kept>>>>,
    hook: Hook,
}

struct Kept {
    kind: &'static str,
    /// A counter's number, or the bits of a gauge's.
    number: AtomicU64,
    values: Mutex<Vec<f64>>,
    hook: Hook,
}

impl Kept {
    fn told(&self) {
        if let Some(hook) = self.hook.get() {
            hook();
        }
    }
}

impl CounterFn for Kept {
    fn increment(&self, value: u64) {
        self.told();
        self.number.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, _value: u64) {
        panic!("several connections may have one name");
    }
}

impl GaugeFn for Kept {
    fn increment(&self, value: f64) {
        self.told();
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self.number.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }

    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }

    fn set(&self, _value: f64) {
        panic!("several connections may have one name");
    }
}

impl HistogramFn for Kept {
    fn record(&self, value: f64) {
        self.told();
        self.values.lock().expect("no panic").push(value);
    }
}

impl Recorder {
    /// Has this called whenever anything is told.
    pub(crate) fn whenever_told(&self, call: impl Fn() + Send + Sync + 'static) {
        assert!(self.hook.set(Box::new(call)).is_ok());
    }

    fn kept(&self, kind: &'static str, key: &Key) -> Arc<Kept> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        let number = AtomicU64::new(if kind == "gauge" { 0_f64.to_bits() } else { 0 });
        let new = Kept { kind, number, values: Mutex::default(), hook: self.hook.clone() };
        let mut kept = self.kept.lock().expect("no panic");
        kept.entry(name).or_insert_with(|| Arc::new(new)).clone()
    }

    /// Name and labels of everything of this kind that is not zero.
    fn of(&self, kind: &str) -> BTreeMap<String, u64> {
        let kept = self.kept.lock().expect("no panic");
        let of = kept.iter().filter(|(_, kept)| kept.kind == kind);
        let numbers = of.map(|(name, kept)| (name.clone(), kept.number.load(Ordering::SeqCst)));
        numbers.filter(|(_, number)| *number != 0).collect()
    }

    /// All counters that are not zero.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        self.of("counter")
    }

    /// All gauges that are not zero.
    pub(crate) fn gauges(&self) -> BTreeMap<String, f64> {
        self.of("gauge").into_iter().map(|(name, bits)| (name, f64::from_bits(bits))).collect()
    }

    /// How many handles were asked for, each once.
    pub(crate) fn len(&self) -> usize {
        self.kept.lock().expect("no panic").len()
    }
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    impl Recorder {
        /// What this histogram was told.
        pub(crate) fn values(&self, name: &str) -> Vec<f64> {
            let kept = self.kept.lock().expect("no panic");
            kept.get(name).map(|it| it.values.lock().expect("no panic").clone()).unwrap_or_default()
        }
    }
}}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(name.as_str().ends_with("_total") && !help.is_empty(), "{}", name.as_str());
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(!name.as_str().ends_with("_total") && !help.is_empty(), "{}", name.as_str());
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        assert!(name.as_str().ends_with("_seconds") && !help.is_empty(), "{}", name.as_str());
        assert_eq!(unit, Some(Unit::Seconds));
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.kept("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.kept("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.kept("histogram", key))
    }
}
