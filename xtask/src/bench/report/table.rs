//! The report in Markdown: the machine, the goals, and a table for each kind of figure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::build::BuildCost;
use super::super::catalogue::{CONTENDERS, Case, Contender, Kind, OURS, Role};
use super::super::codec::Codec;
use super::super::results::{Measure, Results};
use super::super::stats::{Summary, digits, ratio, short};
use super::goals::Goals;
use super::judge::{Judged, Verdict};

/// The columns after those of the contenders.
const RATIOS: [&str; 4] = ["ours : best peer", "ours : raw", "ours : floor", "ours : floor-epoll"];

/// The whole file.
pub(super) fn markdown(results: &Results, goals: &Goals) -> String {
    let mut text = head(results);
    text += &goals_table(&goals.judge(results), goals);
    text += &section(
        results,
        "Rates",
        "Messages a second, or connections, or channels.",
        &[Measure::Throughput],
        |case| case.kind == Kind::Rate,
    );
    text += &section(
        results,
        "CPU",
        "Microseconds of user and system time of the client's process for each message.",
        &[Measure::Cpu],
        |case| case.kind != Kind::Memory,
    );
    text += &section(
        results,
        "Latency",
        "Microseconds that one exchange takes: the median, and what 99 of 100 stay below.",
        &[Measure::P50, Measure::P99],
        |case| case.kind == Kind::Latency,
    );
    text += &section(
        results,
        "Memory",
        "Greatest resident size of the client's process in MiB; the last column: by how much ours grew since \
         the connection was open.",
        &[Measure::Peak],
        |case| case.kind != Kind::Memory,
    );
    text += &section(
        results,
        "Idle connections",
        "KiB of the client's process for each.",
        &[Measure::PerConnection],
        |case| case.kind == Kind::Memory,
    );
    if let Some(codec) = &results.codec {
        text += &codec_table(codec);
    }
    if let Some(build) = &results.build {
        text += &build_table(build);
    }
    text + &notes(results)
}

fn head(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench --write`; edit nothing here.\n\n\
         ![Our rate as a multiple of the best peer's](benchmarks.svg)\n\n\
         Machine: {machine}.\n\
         Date: {}; commit: {}; load before: {}.\n\
         Each figure is the median of {} interleaved rounds of {} s, least and greatest in parentheses. \
         Compare figures of one row: they drift from machine to machine and from day to day.\n",
        machine.date, machine.commit, machine.load, results.rounds, results.seconds,
    );
    let versions: Vec<_> = results
        .versions
        .iter()
        .map(|(name, version)| match name.as_str() {
            "broker" => version.clone(),
            _ => format!("{name} {version}"),
        })
        .collect();
    if !versions.is_empty() {
        let _ = writeln!(text, "Versions: {}.", versions.join(", "));
    }
    text += "\n\
        - **workers**: threads of the tokio runtime, 1 being its current-thread kind; librabbitmq, raw and the floors have \
        one thread of their own and stand in both rows.\n\
        - **sink**, which is meant where no broker is named: a peer that parses and discards as cheaply as it can, or \
        floods pre-encoded deliveries, so that the client is the limit.\n\
        - **raw**: writes pre-encoded frames in large pieces, or counts the frames that it reads; the ceiling.\n\
        - **floor**: a blocking socket and pre-encoded frames, no client: the same exchange with the fewest system calls.\n\
        - **floor-epoll**: the same with the system calls of an event-driven client, which waits by epoll before it reads.\n\
        - **-**: the client has no such thing, or failed (see the notes).\n";
    text
}

fn goals_table(judged: &[Judged], goals: &Goals) -> String {
    let mut text = "\n## Goals\n\n".to_owned();
    let known: Vec<_> = judged.iter().filter(|it| it.verdict != Verdict::Unknown).collect();
    if known.is_empty() {
        return text + "None of them was measured.\n";
    }
    text += "A goal that is not met counts as explained if a floor is no more than 1.25 times as good, and no peer better than \
             that floor: none at all if it is the blocking one, none in Rust if it is floor-epoll.\n\n\
             | case | workers | goal | found | |\n|---|---|---|---|---|\n";
    for it in known {
        let workers = it.workers.map_or_else(|| "any".to_owned(), |workers| workers.to_string());
        let verdict = match it.verdict {
            Verdict::Missed => format!("**{}**", it.verdict),
            verdict => verdict.to_string(),
        };
        let _ =
            writeln!(text, "| {} | {workers} | {} | {} | {verdict} |", it.case, it.goal, it.found);
    }
    text += "\nMemory is bounded in every case but";
    for (at, (case, reason)) in goals.unbounded().enumerate() {
        let _ = write!(text, "{} {case} ({reason})", if at == 0 { "" } else { "," });
    }
    text + ".\n"
}

/// A table with a row for each case and number of workers, if there is anything to tell.
fn section(
    results: &Results,
    title: &str,
    about: &str,
    measures: &[Measure],
    is_meant: impl Fn(&Case) -> bool,
) -> String {
    let has_figures = |it: &&Contender| {
        results.series.iter().any(|series| {
            let is_its = series.contender == it.name
                && results.cases().any(|case| case.name == series.case && is_meant(case));
            is_its && measures.iter().any(|&measure| series.summary(measure).is_some())
        })
    };
    let columns: Vec<&Contender> = CONTENDERS.iter().filter(has_figures).collect();
    if columns.is_empty() {
        return String::new();
    }
    let mut text = format!("\n## {title}\n\n{about}\n\n| case | workers |");
    columns.iter().for_each(|it| text += &format!(" {} |", it.name));
    let is_memory = measures.contains(&Measure::Peak);
    let ends: &[&str] = if is_memory { &["ours grew by"] } else { &RATIOS };
    ends.iter().for_each(|end| text += &format!(" {end} |"));
    text += "\n|---|---|";
    text += &("---|".repeat(columns.len() + ends.len()) + "\n");
    for case in results.cases().filter(|case| is_meant(case)) {
        for workers in results.workers(case.name) {
            for &measure in measures {
                let mut row = format!("| {}{} | {workers} |", case.title, suffix(measure));
                for it in &columns {
                    let summary = results.summary(case.name, it, workers, measure);
                    row += &format!(" {} |", cell(summary, measure, it.name == OURS));
                }
                row += &if is_memory {
                    let growth = results.ours(case.name, workers, Measure::Growth);
                    let growth = growth.map(|kib| digits(kib / 1024.0));
                    format!(" {} |", growth.unwrap_or_else(|| "-".to_owned()))
                } else {
                    ratios(results, case, workers, measure)
                };
                text += &(row + "\n");
            }
        }
    }
    text
}

/// Tells rows of the same case apart.
fn suffix(measure: Measure) -> &'static str {
    match measure {
        Measure::P50 => ", p50",
        Measure::P99 => ", p99",
        _ => "",
    }
}

fn cell(summary: Option<Summary>, measure: Measure, is_bold: bool) -> String {
    let Some(Summary { median, least, greatest }) = summary else { return "-".to_owned() };
    let tell = |value: f64| match measure {
        Measure::Throughput => short(value),
        Measure::Peak => digits(value / 1024.0),
        _ => digits(value),
    };
    let (median, least, greatest) = (tell(median), tell(least), tell(greatest));
    let median = if is_bold { format!("**{median}**") } else { median };
    if least == greatest { median } else { format!("{median} ({least} - {greatest})") }
}

fn ratios(results: &Results, case: &Case, workers: u8, measure: Measure) -> String {
    let ours = results.ours(case.name, workers, measure);
    let times = |is_meant: fn(Role) -> bool| {
        let (_, other) = results.best(case.name, workers, measure, is_meant)?;
        ratio(ours?, other).map(|times| format!("{} x", digits(times)))
    };
    let meant: [fn(Role) -> bool; RATIOS.len()] = [
        Role::is_peer,
        |role| role == Role::Raw,
        |role| role == Role::Floor,
        |role| role == Role::EpollFloor,
    ];
    let told = meant.map(|is_meant| times(is_meant).unwrap_or_else(|| "-".to_owned()));
    format!(" {} |", told.join(" | "))
}

fn codec_table(codec: &Codec) -> String {
    let names = codec.implementations();
    let others: Vec<_> = names.iter().filter(|&&name| name != OURS).collect();
    let mut text =
        "\n## Codec\n\nNanoseconds per operation, medians; `cargo bench` in tests/bench.\n\n\
                    | operation |"
            .to_owned();
    names.iter().for_each(|name| text += &format!(" {name} |"));
    others.iter().for_each(|name| text += &format!(" ours : {name} |"));
    text += "\n|---|";
    text += &("---|".repeat(names.len() + others.len()) + "\n");
    for operation in codec.operations() {
        text += &format!("| {operation} |");
        for name in &names {
            let told = codec.nanoseconds(operation, name).map(digits);
            text += &format!(" {} |", told.unwrap_or_else(|| "-".to_owned()));
        }
        for name in &others {
            let pair = (codec.nanoseconds(operation, OURS), codec.nanoseconds(operation, name));
            let times =
                if let (Some(ours), Some(other)) = pair { ratio(ours, other) } else { None };
            let told = times.map(|times| format!("{} x", digits(times)));
            text += &format!(" {} |", told.unwrap_or_else(|| "-".to_owned()));
        }
        text.push('\n');
    }
    text
}

fn build_table(build: &BuildCost) -> String {
    let mut text = "\n## Build\n\n\
        `cargo build --release` from nothing, everything downloaded before, of an empty crate that depends on the \
        client with its default features. CPU is that of cargo and all compilers. Crates are those of the tree, \
        those included that only building needs.\n\n\
        | crate | seconds | seconds of CPU | crates |\n|---|---|---|---|\n"
        .to_owned();
    for it in &build.crates {
        let [wall, cpu] = [&it.wall, &it.cpu]
            .map(|values| cell(Summary::of(values.iter().copied()), Measure::Cpu, false));
        let _ = writeln!(text, "| {} {} | {wall} | {cpu} | {} |", it.name, it.version, it.tree);
    }
    if let Some(Summary { median, least, greatest }) =
        Summary::of(build.expansion_ms.iter().copied())
    {
        let _ = writeln!(
            text,
            "\nThe macro takes {} ms ({} - {}) for RabbitMQ's specification, compiled as procedural macros are by \
             default, without optimisation: from the XML's text to tokens, without what rustc then does with them.",
            digits(median),
            digits(least),
            digits(greatest)
        );
    }
    text
}

/// What failed and what a client cannot do.
fn notes(results: &Results) -> String {
    let mut failed = String::new();
    let mut unsupported: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for series in &results.series {
        if let Some(why) = series.failures.last() {
            let _ = writeln!(
                failed,
                "- {} ({}), {}: {} of {} rounds failed, the last with: {}",
                series.case,
                series.workers,
                series.contender,
                series.failures.len(),
                series.failures.len() + series.samples.len(),
                why.replace('\n', " "),
            );
        }
        if let Some(why) = &series.unsupported
            && CONTENDERS.iter().any(|it| it.name == series.contender && is_client(it.role))
        {
            let cases = unsupported.entry((&*series.contender, &**why)).or_default();
            if !cases.contains(&&*series.case) {
                cases.push(&series.case);
            }
        }
    }
    let mut text = String::new();
    if !failed.is_empty() {
        text += &format!("\n## What failed\n\n{failed}");
    }
    if !unsupported.is_empty() {
        text += "\n## What a client cannot do\n\n";
    }
    for ((contender, why), cases) in unsupported {
        let _ = writeln!(text, "- {contender}, {}: {why}", cases.join(", "));
    }
    text
}

fn is_client(role: Role) -> bool {
    role == Role::Ours || role.is_peer()
}

#[cfg(test)]
mod tests {
    use super::super::super::build::Crate;
    use super::super::super::codec::Figure;
    use super::super::super::results::tests::results;
    use super::*;

    #[test]
    fn row_has_medians_spreads_and_ratios() {
        let results = results(&[
            ("publish-16", "ours", 2, &[9e6, 8e6, 8.5e6]),
            ("publish-16", "ours", 1, &[8e6]),
            ("publish-16", "lapin", 2, &[17_000.0]),
            ("publish-16", "librabbitmq", 1, &[1e5]),
            ("publish-16", "raw", 1, &[3.4e7]),
        ]);
        let text = markdown(&results, &Goals::read().unwrap());
        let header = "| case | workers | ours | lapin | librabbitmq | raw | ours : best peer | ours : raw | ours : floor | ours : floor-epoll |";
        assert!(text.contains(header), "{text}");
        let row = "| publish 16 B | 2 | **8.50 M** (8.00 M - 9.00 M) | 17.0 k | 100 k | 34.0 M | 85.0 x | 0.25 x | - | - |\n\
                   | publish 16 B | 1 | **8.00 M** | - | 100 k | 34.0 M | 80.0 x | 0.24 x | - | - |\n";
        assert!(text.contains(row), "{text}");
        assert!(
            text.contains("| publish 16 B | 2 | **3.91** | 3.91 | 3.91 | 3.91 | 0.98 |"),
            "{text}"
        );
        assert!(!text.contains("## Latency") && !text.contains("## Build"), "{text}");
    }

    #[test]
    fn every_table_has_as_many_cells_in_each_row() {
        let mut results = results(&[("rpc", "ours", 2, &[9e3, 8e3]), ("rpc", "amqprs", 2, &[9e3])]);
        let figure = |implementation: &str, nanoseconds| Figure {
            operation: "decode deliver".to_owned(),
            implementation: implementation.to_owned(),
            nanoseconds,
        };
        results.codec =
            Some(Codec { figures: vec![figure("amq-protocol", 40.0), figure("ours", 4.0)] });
        let it =
            Crate { name: "lapin".to_owned(), tree: 90, wall: vec![1.0, 3.0], ..Crate::default() };
        results.build = Some(BuildCost { crates: vec![it], expansion_ms: vec![20.0] });
        let text = markdown(&results, &Goals::read().unwrap());
        let goal = "| codec: decode deliver | any | time : amq-protocol <= 0.25 x | 0.10 x (4.00 ns : 40.0 ns) | met |";
        assert!(text.contains(goal), "{text}");
        let goal = "| rpc | 2 | p50 : best peer <= 1.00 x | 1.06 x (236 us : 222 us, amqprs) | **not met** |";
        assert!(text.contains(goal), "{text}");
        assert!(text.contains("| decode deliver | 4.00 | 40.0 | 0.10 x |"), "{text}");
        assert!(text.contains("| lapin  | 2.00 (1.00 - 3.00) | - | 90 |"), "{text}");
        let mut width = 0;
        for line in text.lines() {
            let cells = line.matches('|').count();
            assert!(width == 0 || cells == 0 || cells == width, "{line}");
            width = cells;
        }
    }

    #[test]
    fn failures_are_told_and_what_raw_cannot_is_not() {
        let mut results = results(&[("rpc", "amqp-client", 2, &[9e3]), ("rpc", "raw", 1, &[])]);
        results.series[0].failures.push("hung:\nended".to_owned());
        results.series[1].unsupported = Some("no".to_owned());
        let text = markdown(&results, &Goals::read().unwrap());
        let note = "- rpc (2), amqp-client: 1 of 2 rounds failed, the last with: hung: ended\n";
        assert!(text.ends_with(note), "{text}");
    }
}
