"""Java and Kotlin by Maven: which main class a job runs, and on which release."""

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile

MAIN = "package com.acme;\n\npublic class Report {\n    public static void main(String... args) {}\n}\n"
REPORT = "src/main/java/com/acme/Report.java"
CLASSPATH = "target/classes:target/dependency/*"


def pom(inner: str = "") -> str:
    return f"<project>\n<modelVersion>4.0.0</modelVersion>\n{inner}\n</project>\n"


@pytest.mark.parametrize(
    ("files", "classpath", "name"),
    [
        ({"pom.xml": pom(), REPORT: MAIN}, CLASSPATH, "com.acme.Report"),
        ({"pom.xml": pom(), "src/main/kotlin/sync.kt": "fun main() {}\n"}, CLASSPATH, "SyncKt"),
        (
            {"pom.xml": pom("<mainClass>com.acme.Other</mainClass>"), REPORT: MAIN},
            CLASSPATH,
            "com.acme.Other",
        ),
        (
            {
                "pom.xml": pom("<modules><module>lib</module><module>tools/export</module></modules>"),
                "lib/pom.xml": pom(),
                "lib/src/main/java/Lib.java": "class Lib {}",
                "tools/export/pom.xml": pom(),
                f"tools/export/{REPORT}": MAIN,
            },
            "tools/export/target/classes:tools/export/target/dependency/*",
            "com.acme.Report",
        ),
    ],
)
def test_the_main_class_is_run_with_what_it_depends_on(
    make_tree, files: dict[str, str], classpath: str, name: str
) -> None:
    plan = make_plan(make_tree(files))
    assert (plan.runtime, plan.command[0], plan.command[-3:]) == ("java", "java", ("-cp", classpath, name))
    assert [stage.base for stage in plan.stages] == ["maven:3-eclipse-temurin-21", "eclipse-temurin:21-jre"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"pom.xml": pom()}, r"found no script or entry point"),
        (
            {"pom.xml": pom(), REPORT: MAIN, REPORT.replace("Report", "Export"): MAIN},
            r"found com\.acme\.Export, com\.acme\.Report\.",
        ),
        (
            {"pom.xml": pom("<artifactId>spring-boot-starter-web</artifactId>"), REPORT: MAIN},
            r"com\.acme\.Report starts a server, which never finishes \(spring-boot-starter-web\)",
        ),
    ],
)
def test_what_is_asked_for(make_tree, files: dict[str, str], said: str) -> None:
    with pytest.raises(NoStartCommand, match=said):
        make_plan(make_tree(files))


def test_what_is_commented_out_counts_for_nothing(make_tree) -> None:
    inner = "<!-- <artifactId>javalin</artifactId> <mainClass>a.B</mainClass> -->"
    assert make_plan(make_tree({"pom.xml": pom(inner), REPORT: MAIN})).command[-1] == "com.acme.Report"


@pytest.mark.parametrize(
    ("files", "release"),
    [
        ({"pom.xml": pom("<maven.compiler.release>17</maven.compiler.release>")}, "17"),
        ({"pom.xml": pom("<java.version>1.8</java.version>")}, "8"),
        ({"pom.xml": pom("<maven.compiler.target>16</maven.compiler.target>")}, "17"),
        ({".java-version": "temurin-21.0.2+13\n"}, "21"),
        ({".sdkmanrc": "java=25.0.1-tem\n"}, "25"),
        ({"system.properties": "java.runtime.version=11\n"}, "11"),
        ({".tool-versions": "java corretto-17.0.9\n"}, "17"),
        ({"mise.toml": '[tools]\njava = "27"\n'}, "27"),
    ],
)
def test_the_release(make_tree, files: dict[str, str], release: str) -> None:
    plan = make_plan(make_tree({"pom.xml": pom(), REPORT: MAIN, **files}))
    assert (plan.version, plan.stages[-1].base) == (release, f"eclipse-temurin:{release}-jre")
    assert bool(plan.warnings) == (release == "27")


def test_two_releases_are_told_of(make_tree) -> None:
    files = {".java-version": "17", "pom.xml": pom("<java.version>21</java.version>"), REPORT: MAIN}
    assert make_plan(make_tree(files)).warnings == (
        ".java-version says 17, but java.version of pom.xml says 21: .java-version counts.",
    )


def test_what_is_no_release(make_tree) -> None:
    with pytest.raises(PlanError, match=r"\.java-version 'latest' is not a Java version such as 21\."):
        make_plan(make_tree({"pom.xml": pom(), REPORT: MAIN, ".java-version": "latest"}))


def test_a_front_end_beside_it_is_left_aside(make_tree) -> None:
    tree = make_tree({"pom.xml": pom(), REPORT: MAIN, "package.json": '{"dependencies": {"ms": "1"}}'})
    assert make_plan(tree).runtime == "java"


def test_commands_of_ones_own_count(make_tree) -> None:
    settings = BuildSettings(build_command="sh mvnw package", run_command="java -jar target/job.jar")
    text = render_dockerfile(make_plan(make_tree({"pom.xml": pom(), REPORT: MAIN}), settings))
    assert "sh mvnw package" in text
    assert '"java", "-jar", "target/job.jar"' in text


def test_modules_that_name_one_another_come_to_an_end(make_tree) -> None:
    circle = pom("<modules><module>a</module><module>..</module></modules>")
    assert make_plan(make_tree({"pom.xml": circle, "a/pom.xml": circle, REPORT: MAIN})).runtime == "java"
