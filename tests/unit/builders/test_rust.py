"""Rust: which binaries there are, which one a job runs, on which release, and with which of Debian's packages."""

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile

PACKAGE = '[package]\nname = "tally"\n'
MAIN = {"src/main.rs": "fn main() {}"}
LOCK = '[[package]]\nname = "{}"\nversion = "1.0.0"\n'


def test_the_only_binary_is_run(make_tree) -> None:
    plan = make_plan(make_tree({"Cargo.toml": PACKAGE, **MAIN}))
    assert (plan.runtime, plan.command, plan.version) == ("rust", ("tally",), "1")
    assert plan.build_command == "cargo build --release --workspace --bins"
    assert plan.stages[0].base == "rust:1-slim-trixie"


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ({"Cargo.toml": PACKAGE, **MAIN, "src/bin/job.rs": "", "src/bin/web/main.rs": ""}, "job"),
        (
            {"Cargo.toml": PACKAGE + 'default-run = "sync"\n', **MAIN, "src/bin/sync.rs": ""},
            "sync",
        ),
        ({"Cargo.toml": PACKAGE + '[[bin]]\nname = "renamed"\npath = "src/main.rs"\n', **MAIN}, "renamed"),
        ({"Cargo.toml": PACKAGE + "autobins = false\n[[bin]]\nname = 'only'\n", **MAIN}, "only"),
        (
            {
                "Cargo.toml": '[workspace]\nmembers = ["crates/*", "./tool"]\nexclude = ["crates/old"]\n',
                "crates/lib/Cargo.toml": '[package]\nname = "lib"\n',
                "crates/lib/src/lib.rs": "",
                "crates/old/Cargo.toml": '[package]\nname = "old"\n',
                "crates/old/src/main.rs": "",
                "tool/Cargo.toml": '[package]\nname = "tool"\n',
                "tool/src/main.rs": "",
            },
            "tool",
        ),
    ],
)
def test_which_of_several_is_run(make_tree, files: dict[str, str], chosen: str) -> None:
    assert make_plan(make_tree(files)).command == (chosen,)


def test_several_that_nothing_tells_apart_are_named(make_tree) -> None:
    tree = make_tree({"Cargo.toml": PACKAGE, **MAIN, "src/bin/dump.rs": ""})
    with pytest.raises(NoStartCommand, match=r"found process 'tally', process 'dump'"):
        make_plan(tree)
    plan = make_plan(tree, BuildSettings(run_command="dump --all"))
    assert plan.command == ("dump", "--all")
    assert "cp /target/release/tally /target/release/dump /out/" in render_dockerfile(plan)


def test_a_server_is_no_job_and_what_is_beside_it_is_one(make_tree) -> None:
    manifest = PACKAGE + "[dependencies]\naxum = '0.8'\n"
    with pytest.raises(NoStartCommand, match=r"tally starts a server, which never finishes \(axum\)\."):
        make_plan(make_tree({"Cargo.toml": manifest, **MAIN}))
    tree = make_tree({"Cargo.toml": manifest, **MAIN, "src/bin/sweep.rs": ""})
    assert make_plan(tree).command == ("sweep",)


def test_what_only_a_feature_builds_is_not_looked_for(make_tree) -> None:
    extra = '[[bin]]\nname = "extra"\npath = "src/bin/extra.rs"\nrequired-features = ["x"]\n'
    plan = make_plan(make_tree({"Cargo.toml": PACKAGE + extra, **MAIN, "src/bin/extra.rs": ""}))
    assert plan.command == ("tally",)
    assert "extra" not in render_dockerfile(plan)


def test_a_library_alone_is_nothing_to_run(make_tree) -> None:
    with pytest.raises(PlanError, match=r"no binary to build: add src/main\.rs"):
        make_plan(make_tree({"Cargo.toml": PACKAGE, "src/lib.rs": ""}))


def test_what_is_made_for_another_language_speaks_for_that_one(make_tree) -> None:
    extension = PACKAGE + '[lib]\ncrate-type = ["cdylib"]\n'
    tree = make_tree({"Cargo.toml": extension, "requirements.txt": "", "job.py": "print(1)"})
    assert make_plan(tree).runtime == "python"


@pytest.mark.parametrize(
    ("files", "version", "image"),
    [
        ({"rust-toolchain.toml": '[toolchain]\nchannel = "1.85"\n'}, "1.85", "rust:1.85-slim"),
        ({"rust-toolchain": "1.84.1\n"}, "1.84.1", "rust:1.84.1-slim"),
        ({"rust-toolchain": "stable\n"}, "1", "rust:1-slim-trixie"),
        ({"rust-toolchain.toml": '[toolchain]\nchannel = "nightly-2026-01-01"\n'}, "1", "rust:1-slim-trixie"),
        ({".tool-versions": "rust 1.83.0\n"}, "1.83.0", "rust:1.83.0-slim"),
        ({"mise.toml": '[tools]\nrust = "1.86"\n'}, "1.86", "rust:1.86-slim"),
    ],
)
def test_the_release_that_is_asked_for(make_tree, files: dict[str, str], version: str, image: str) -> None:
    plan = make_plan(make_tree({"Cargo.toml": PACKAGE, **MAIN, **files}))
    assert (plan.version, plan.stages[0].base) == (version, image)
    assert next(iter(files)) in (plan.version_source or "") or version == "1"


def test_two_releases_are_told_of(make_tree) -> None:
    files = {"rust-toolchain": "1.85", ".tool-versions": "rust 1.80.0\n"}
    plan = make_plan(make_tree({"Cargo.toml": PACKAGE, **MAIN, **files}))
    assert plan.warnings == (
        "rust-toolchain says 1.85, but .tool-versions says 1.80.0: rust-toolchain counts.",
    )


def test_what_is_no_release(make_tree) -> None:
    with pytest.raises(
        PlanError, match=r"rust-toolchain 'newest' is not a Rust version such as 1\.85 or stable"
    ):
        make_plan(make_tree({"Cargo.toml": PACKAGE, **MAIN, "rust-toolchain": "newest"}))


def test_crates_that_bind_a_c_library_have_it(make_tree) -> None:
    tree = make_tree({"Cargo.toml": PACKAGE, **MAIN, "Cargo.lock": LOCK.format("openssl-sys")})
    text = render_dockerfile(make_plan(tree))
    build, _, final = text.partition("FROM debian:trixie-slim")
    assert "libssl-dev" in build
    assert "libssl3t64" in final
    assert "--locked" in build
    vendored = LOCK.format("openssl-sys") + LOCK.format("openssl-src")
    assert "libssl" not in render_dockerfile(
        make_plan(make_tree({"Cargo.toml": PACKAGE, **MAIN, "Cargo.lock": vendored}))
    )


@pytest.mark.parametrize(
    "text", ["[package", "package = 1\n", '[workspace]\nmembers = "x"\n', "[[bin]]\nname = 3\n"]
)
def test_a_manifest_of_nonsense_is_refused_in_one_sentence(make_tree, text: str) -> None:
    with pytest.raises(PlanError) as refused:
        make_plan(make_tree({"Cargo.toml": text}))
    assert "\n" not in str(refused.value)
