"""PHP: what a job runs, on which release, and with which extensions."""

import json

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile
from builders.runtimes.effects import Effect
from builders.runtimes.php_effects import doing_of

RUNS = "<?php\necho 1;\n"


def composer(**more: object) -> str:
    return json.dumps({"name": "acme/report", **more})


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"job.php": RUNS}, ("php", "job.php")),
        ({"composer.json": composer(), "job.php": RUNS}, ("php", "job.php")),
        ({"composer.json": composer(), "sync.php": RUNS}, ("php", "sync.php")),
        ({"composer.json": composer(bin=["bin/sync"]), "bin/sync": RUNS}, ("php", "bin/sync")),
        ({"composer.json": composer(), "Procfile": "web: x\njob: php a.php\n"}, ("php", "a.php")),
    ],
)
def test_what_is_run(make_tree, files: dict[str, str], command: tuple[str, ...]) -> None:
    plan = make_plan(make_tree(files))
    assert (plan.runtime, plan.command) == ("php", command)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"composer.json": composer(), "artisan": RUNS, "job.php": RUNS},
            r"found php artisan COMMAND, job\.php\.",
        ),
        ({"composer.json": composer(), "bin/console": RUNS}, r"found php bin/console COMMAND\."),
        (
            {"composer.json": composer(), "index.php": "<?php\nheader('X: y');\necho 1;\n"},
            r"index\.php is a page, which a web server runs",
        ),
        ({"composer.json": composer(), "job.php": "<?php\nclass A\n{\n}\n"}, r"job\.php only defines things"),
        ({"composer.json": composer(), "a.php": RUNS, "b.php": RUNS}, r"found a\.php, b\.php\."),
    ],
)
def test_what_is_asked_for(make_tree, files: dict[str, str], said: str) -> None:
    with pytest.raises(NoStartCommand, match=said):
        make_plan(make_tree(files))


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("", Effect.DEFINES),
        ("<?php\n// nothing\n/* echo 1; */\n", Effect.DEFINES),
        (
            "<?php\ndeclare(strict_types=1);\nnamespace A;\nuse B\\C;\nfinal class D\n{\n    echo;\n}\n",
            Effect.DEFINES,
        ),
        ("<?php\nfunction a()\n{\n    echo 1;\n}\n", Effect.DEFINES),
        ("<?php\nrequire 'vendor/autoload.php';\nreturn ['a' => 1];\n", Effect.DEFINES),
        ("<?php\nrequire 'vendor/autoload.php';\n(new Acme\\Job())->run();\n", Effect.RUNS),
        ("#!/usr/bin/env php\n<?php\necho 1;\n", Effect.RUNS),
        ("<?php\nforeach ([1] as $each) {\n    echo $each;\n}\n", Effect.RUNS),
        ("<?php\necho $_GET['a'];\n", Effect.SERVES),
        ("<!doctype html>\n<?php echo 1;\n", Effect.SERVES),
        ("<?php\n$s = stream_socket_server('tcp://0.0.0.0:1');\n", Effect.SERVES),
    ],
)
def test_what_a_file_does(text: str, effect: Effect) -> None:
    assert doing_of(text).effect is effect


@pytest.mark.parametrize(
    ("files", "version", "image"),
    [
        ({}, "8.4", "php:8.4-cli-trixie"),
        ({"composer.json": composer(require={"php": "^8.2"})}, "8.4", "php:8.4-cli-trixie"),
        ({"composer.json": composer(require={"php": "~8.3.0"})}, "8.3", "php:8.3-cli-trixie"),
        ({"composer.json": composer(require={"php": "8.2.*|8.3.*"})}, "8.3", "php:8.3-cli-trixie"),
        ({"composer.json": composer(require={"php": ">=7.4"})}, "8.4", "php:8.4-cli-trixie"),
        ({".php-version": "8.3.14\n"}, "8.3.14", "php:8.3.14-cli"),
        ({"mise.toml": "[tools]\nphp = '8.5'\n"}, "8.5", "php:8.5-cli-trixie"),
    ],
)
def test_the_release(make_tree, files: dict[str, str], version: str, image: str) -> None:
    plan = make_plan(make_tree({"composer.json": composer(), "job.php": RUNS, **files}))
    assert (plan.version, plan.stages[-1].base) == (version, image)
    assert plan.stages[0].base == "composer:2"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"composer.json": composer(require={"php": "^7.4"})},
            r"asks for PHP '\^7\.4', but base images exist for 8\.1",
        ),
        (
            {"composer.json": composer(require={"php": "newest"})},
            r"composer\.json asks for PHP 'newest', which is not a version such as 8\.4\.",
        ),
        (
            {"composer.json": composer(require={"php": "^8.4"}), ".php-version": "8.2"},
            r"\.php-version asks for PHP 8\.2, but composer\.json says '\^8\.4'\. Make them agree\.",
        ),
        ({".php-version": "latest"}, r"\.php-version asks for PHP 'latest', which is not a version such as"),
        ({"composer.json": "[]"}, r"composer\.json must be an object"),
        ({"composer.json": "{"}, r"composer\.json is not JSON"),
    ],
)
def test_what_can_not_be(make_tree, files: dict[str, str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make_plan(make_tree({"composer.json": composer(), "job.php": RUNS, **files}))


def test_extensions_are_made_with_what_they_need(make_tree) -> None:
    asked = {f"ext-{name}": "*" for name in ("json", "intl", "pdo_pgsql", "redis", "ffi")}
    plan = make_plan(make_tree({"composer.json": composer(require=asked), "job.php": RUNS}))
    final = render_dockerfile(plan).partition("AS job")[2]
    assert "docker-php-ext-install -j$(nproc) intl pdo_pgsql" in final
    assert "pecl install redis" in final
    assert "--no-install-recommends libicu-dev libpq-dev" in final
    assert "purge -y --auto-remove $PHPIZE_DEPS" in final
    assert plan.warnings[-1] == (
        "The extension ffi is not one that is known here: add a Dockerfile if the job needs it."
    )


def test_what_is_locked_is_installed_as_it_is(make_tree) -> None:
    tree = make_tree({"composer.json": composer(), "composer.lock": "{}", "job.php": RUNS})
    assert str(make_plan(tree).install_command).endswith("--ignore-platform-reqs")


def test_what_is_not_locked_is_chosen_for_the_php_of_the_job(make_tree) -> None:
    plan = make_plan(make_tree({"composer.json": composer(), "job.php": RUNS}))
    assert str(plan.install_command).startswith(
        "composer config platform.php 8.4.0 && composer install --no-dev"
    )
    assert plan.warnings == ("There is no composer.lock: each build may install other versions. Commit one.",)


def test_without_packages_there_is_one_stage(make_tree) -> None:
    plan = make_plan(make_tree({"job.php": RUNS}))
    assert (len(plan.stages), plan.install_command) == (1, None)
    own = BuildSettings(run_command="php artisan report:send")
    laravel = make_tree({"composer.json": composer(), "artisan": RUNS, "job.php": "<?php\n"})
    assert make_plan(laravel, own).command[-1] == "report:send"


@pytest.mark.parametrize(
    ("files", "written"),
    [
        ({"artisan": RUNS}, "storage bootstrap/cache"),
        ({"bin/console": RUNS}, "var"),
    ],
)
def test_a_framework_writes_where_it_does(make_tree, files: dict[str, str], written: str) -> None:
    tree = make_tree({"composer.json": composer(), **files})
    text = render_dockerfile(make_plan(tree, BuildSettings(run_command="php x.php")))
    assert f"RUN mkdir -p {written} \\\n    && chmod -R a+rwX {written}\n" in text
