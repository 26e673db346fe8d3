//! A place outside the workspace with everything that a user of the crates has, and crates to build there.
//!
//! ```text
//! target/tmp/build/
//!   project/     a copy of this project, so that a test may edit it
//!   repository/  the same as a git repository
//!   vendor/      a directory source: what crates.io has for us, and our own packages
//!   home/        CARGO_HOME of the users and of packaging
//!   packaged/    where cargo makes our packages; unpacked/ has what is in them
//!   users/       their crates; the cargo config here replaces crates.io by vendor/
//!   target/      where all of them build
//! ```
//!
//! It stays between runs, so that dependencies are compiled once. One test has it at a time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// The crates that are published, dependencies first.
pub(crate) const CRATES: [&str; 3] = ["amqp-spec-macro", "amqp-types", "amqp-connector"];

/// How a user's crate depends on ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependency {
    /// On a checkout.
    Path,
    /// On a git repository.
    Git,
    /// On a package that cargo made of ours, from a directory source.
    Package,
}

/// The place. Whoever has it has it alone.
pub(crate) struct Lab {
    root: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    /// The place as it should be before a test, with whatever can be kept of the last one.
    pub(crate) fn open() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        // A failed test leaves nothing behind that is not put right here.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build");
        let lab = Self { root, _alone: alone };
        lab.copy_project();
        lab.vendor();
        let home = lab.path("home/config.toml");
        write(
            &home,
            fs::read_to_string(users_cargo_home().join("config.toml")).unwrap_or_default(),
        );
        lab
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The files of the checkout that are, or may come, under version control.
    fn copy_project(&self) {
        let checkout = checkout();
        let listing = run(Command::new("git").current_dir(&checkout).args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ]));
        let files: Vec<&str> = listing.lines().collect();
        for file in &files {
            // One that is deleted but still listed is no part of the project.
            if let Ok(content) = fs::read(checkout.join(file)) {
                write(&self.path("project").join(file), &content);
            }
        }
        for stale in files_below(&self.path("project")) {
            let relative = stale.strip_prefix(self.path("project")).unwrap();
            if !checkout.join(relative).exists() {
                fs::remove_file(&stale).unwrap();
            }
        }
    }

    /// Everything that our crates need from crates.io, unless it is there for the same Cargo.lock.
    fn vendor(&self) {
        let lock = fs::read_to_string(self.path("project/Cargo.lock")).unwrap();
        let config = format!(
            "[source.crates-io]\nreplace-with = \"vendor\"\n[source.vendor]\ndirectory = {:?}\n",
            self.path("vendor")
        );
        write(&self.path("users/.cargo/config.toml"), &config);
        let stamp = self.path("vendor/stamp");
        if fs::read_to_string(&stamp).is_ok_and(|of| of == lock) {
            return;
        }
        let _ = fs::remove_dir_all(self.path("vendor"));
        let manifest = manifest(
            "seed",
            &[
                self.dependency("amqp-connector", Dependency::Path, &["testing"]),
                self.dependency("amqp-types", Dependency::Path, &["serde"]),
                TOKIO.to_owned(),
            ],
        );
        let seed = self.path("seed");
        write(&seed.join("Cargo.toml"), &manifest);
        write(&seed.join("Cargo.lock"), &lock);
        write(&seed.join("src/lib.rs"), "");
        run(cargo(&seed).arg("vendor").arg(self.path("vendor")));
        write(&stamp, &lock);
    }

    /// The project as a git repository with one commit.
    pub(crate) fn repository(&self) {
        let repository = self.path("repository");
        let _ = fs::remove_dir_all(&repository);
        fs::create_dir_all(&repository).unwrap();
        run(git(&repository).args(["init", "--quiet"]));
        self.commit();
    }

    /// Commits what the project has become. The same content has the same name in every run.
    pub(crate) fn commit(&self) {
        let repository = self.path("repository");
        let mut add = git(&repository);
        add.arg("--work-tree").arg(self.path("project")).args(["add", "--all", "--force", "."]);
        run(&mut add);
        run(git(&repository).args(["commit", "--quiet", "--message", "a state of the project"]));
    }

    /// The packages of this project in the directory source.
    pub(crate) fn package(&self) {
        static MADE: Once = Once::new();
        MADE.call_once(|| drop(self.make_packages(false)));
    }

    /// Makes the packages, verifying them as `cargo publish` does if wanted, and puts them into the
    /// directory source. Gives what cargo said.
    pub(crate) fn make_packages(&self, verify: bool) -> String {
        let project = self.path("project");
        let mut command = cargo(&project);
        command.env("CARGO_HOME", self.path("home"));
        command.args(["package", "--allow-dirty", "--target-dir"]).arg(self.path("packaged"));
        command.args(selected_crates());
        match verify {
            true => self.forget_packages("packaged"),
            false => drop(command.arg("--no-verify")),
        }
        let output = output(&mut command);
        assert!(output.status.success(), "{}", said(&output));
        let unpack = |name: &&str| {
            let unpacked = self.unpacked(name);
            let file = unpacked.file_name().unwrap().to_str().unwrap();
            let archive = self.path("packaged/package").join(format!("{file}.crate"));
            let _ = fs::remove_dir_all(&unpacked);
            fs::create_dir_all(&unpacked).unwrap();
            let mut tar = Command::new("tar");
            run(tar.arg("-xzf").arg(&archive).arg("-C").arg(self.path("unpacked")));
            write(&unpacked.join(".cargo-checksum.json"), "{\"files\":{}}");
            replace(&unpacked, &self.path("vendor").join(name))
        };
        if CRATES.iter().filter(|name| unpack(name)).count() > 0 {
            self.forget_packages("target");
        }
        said(&output)
    }

    /// Cargo takes a package of the same version for the same package: makes it compile ours again.
    fn forget_packages(&self, target: &str) {
        let mut clean = cargo(&self.path("project"));
        clean.args(["clean", "--quiet", "--target-dir"]).arg(self.path(target));
        run(clean.args(selected_crates()));
        for kept in ["home/registry/src", "home/registry/cache", "home/registry/index"] {
            for entry in fs::read_dir(self.path(kept)).into_iter().flatten().flatten() {
                // The registry that cargo makes to verify packages has no name of a host.
                if entry.file_name().to_string_lossy().starts_with('-') {
                    fs::remove_dir_all(entry.path()).unwrap();
                }
            }
        }
    }

    /// Where the files of a package are, once it is made.
    pub(crate) fn unpacked(&self, name: &str) -> PathBuf {
        self.path("unpacked").join(format!("{name}-{}", env!("CARGO_PKG_VERSION")))
    }

    /// A line of a manifest.
    pub(crate) fn dependency(&self, name: &str, kind: Dependency, features: &[&str]) -> String {
        let place = match kind {
            Dependency::Path => format!("path = {:?}", self.path("project").join(name)),
            Dependency::Git => format!("git = \"file://{}\"", self.path("repository").display()),
            Dependency::Package => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
        };
        format!("{name} = {{ {place}, features = {features:?} }}")
    }

    /// A user's crate with these dependencies (lines of its manifest), and nothing else yet.
    pub(crate) fn user(&self, name: &str, dependencies: &[String]) -> User<'_> {
        let folder = self.path("users").join(name);
        let _ = fs::remove_dir_all(&folder);
        let user = User { lab: self, folder, name: name.to_owned() };
        user.write("Cargo.toml", &manifest(name, dependencies));
        user
    }
}

/// What the examples need besides our crates.
pub(crate) const TOKIO: &str =
    "tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }";

fn manifest(name: &str, dependencies: &[String]) -> String {
    format!(
        "[package]\nname = {name:?}\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{}\n\n\
         [profile.dev]\ndebug = false\n",
        dependencies.join("\n")
    )
}

/// A crate that uses ours, in a workspace of its own.
pub(crate) struct User<'lab> {
    lab: &'lab Lab,
    folder: PathBuf,
    name: String,
}

impl User<'_> {
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub(crate) fn write(&self, file: &str, content: &str) {
        write(&self.path(file), content);
    }

    /// Writes the crate's own cargo config; `None` removes it.
    pub(crate) fn config(&self, content: Option<&str>) {
        match content {
            Some(content) => self.write(".cargo/config.toml", content),
            None => fs::remove_file(self.path(".cargo/config.toml")).unwrap(),
        }
    }

    /// `cargo <arguments>` in the crate's folder, with `AMQP_SPEC` set or not.
    pub(crate) fn cargo(&self, arguments: &[&str], spec: Option<&str>) -> Ran {
        let mut command = cargo(&self.folder);
        command.args(arguments);
        command.env("CARGO_HOME", self.lab.path("home"));
        command.env("CARGO_TARGET_DIR", self.lab.path("target"));
        if let Some(spec) = spec {
            command.env("AMQP_SPEC", spec);
        }
        let output = output(&mut command);
        Ran {
            success: output.status.success(),
            printed: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            told: format!("{}: {}", self.name, said(&output)),
        }
    }
}

/// How a call of cargo ended.
pub(crate) struct Ran {
    pub(crate) success: bool,
    /// Standard output: what the program printed.
    pub(crate) printed: String,
    /// Everything, for messages.
    pub(crate) told: String,
}

impl Ran {
    /// Whether cargo compiled `name`, having been told to be verbose.
    pub(crate) fn compiled(&self, name: &str) -> bool {
        let fresh = self.told.contains(&format!("Fresh {name} v"));
        let compiled = self.told.contains(&format!("Compiling {name} v"))
            || self.told.contains(&format!("Checking {name} v"));
        assert_ne!(fresh, compiled, "{}", self.told);
        compiled
    }
}

fn selected_crates() -> impl Iterator<Item = &'static str> {
    CRATES.iter().flat_map(|name| ["--package", name])
}

/// The folder that this test was compiled from.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn users_cargo_home() -> PathBuf {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    }
}

/// Cargo without what cargo has set for this test, and without a specification.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_package = name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if of_package || ["AMQP_SPEC", "CARGO_TARGET_DIR"].contains(&name.as_str()) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn git(repository: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(repository).arg("--git-dir").arg(repository.join(".git"));
    git.args(["-c", "user.name=test", "-c", "user.email=test@localhost"]);
    for date in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        git.env(date, "2026-01-01T00:00:00Z");
    }
    git
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

/// Writes what differs, so that builds of the rest stay fresh.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    if fs::read(path).is_ok_and(|old| old == content.as_ref()) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Makes `to` what `from` is, and tells whether it was anything else.
fn replace(from: &Path, to: &Path) -> bool {
    let content = |folder: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        let relative = |file: &PathBuf| file.strip_prefix(folder).unwrap().to_owned();
        files_below(folder).iter().map(|file| (relative(file), fs::read(file).unwrap())).collect()
    };
    let new = content(from);
    if new == content(to) {
        return false;
    }
    let _ = fs::remove_dir_all(to);
    for (file, content) in new {
        write(&to.join(file), content);
    }
    true
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            folder if folder.is_dir() => files.extend(files_below(&folder)),
            file => files.push(file),
        }
    }
    files
}
