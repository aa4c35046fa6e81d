"""Ruby: what a job runs, on which release, and what its gems need."""

import pytest

from builders.detect import make_plan
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.render import render_dockerfile
from builders.runtimes.effects import Effect
from builders.runtimes.ruby_effects import doing_of

RUNS = "puts 1\n"
GEMS = 'source "https://rubygems.org"\n'
PROGRAM = "#!/usr/bin/env ruby\nputs 1\n"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"job.rb": RUNS}, ("ruby", "job.rb")),
        ({"Gemfile": GEMS, "job.rb": RUNS}, ("bundle", "exec", "ruby", "job.rb")),
        ({"Gemfile": GEMS, "sync.rb": RUNS}, ("bundle", "exec", "ruby", "sync.rb")),
        ({"Gemfile": GEMS, "Rakefile": "task default: :export\n"}, ("bundle", "exec", "rake")),
        ({"Gemfile": GEMS, "Rakefile": "task :default => [:import, :export]\n"}, ("bundle", "exec", "rake")),
        ({"Gemfile": GEMS, "bin/sync": PROGRAM, "bin/rake": PROGRAM}, ("bundle", "exec", "ruby", "bin/sync")),
        ({"Gemfile": GEMS, "Procfile": "web: puma\njob: rake export\n"}, ("rake", "export")),
    ],
)
def test_what_is_run(make_tree, files: dict[str, str], command: tuple[str, ...]) -> None:
    plan = make_plan(make_tree(files))
    assert (plan.runtime, plan.command) == ("ruby", command)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"Gemfile": GEMS, "Rakefile": "task default: :spec\ntask :export do\nend\n"},
            r"bundle exec rake export",
        ),
        ({"Gemfile": GEMS, "job.rb": "class Job\nend\n"}, r"job\.rb only defines things and runs nothing"),
        ({"Gemfile": GEMS, "app.rb": 'require "sinatra"\nget("/") { 1 }\n'}, r"app\.rb starts a server"),
        ({"Gemfile": GEMS, "a.rb": RUNS, "b.rb": RUNS}, r"found a\.rb, b\.rb\."),
        (
            {
                "Gemfile": GEMS,
                "config/application.rb": "",
                "bin/rails": PROGRAM,
                "lib/tasks/export.rake": "task :nightly do\nend\n",
            },
            r"found bundle exec rake nightly\.",
        ),
    ],
)
def test_what_is_asked_for(make_tree, files: dict[str, str], said: str) -> None:
    with pytest.raises(NoStartCommand, match=said):
        make_plan(make_tree(files))


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("", Effect.DEFINES),
        ("# nothing\n=begin\nputs 1\n=end\n", Effect.DEFINES),
        ("require 'json'\nmodule A\n  B = 1\n  def c\n    puts 1\n  end\nend\n", Effect.DEFINES),
        ("VERSION = '1'\nA = %w[a b]\n$LOAD_PATH.unshift 'lib'\n", Effect.DEFINES),
        ("TEXT = <<~SQL\nselect 1\nSQL\n", Effect.DEFINES),
        ("class A\nend\nA.new.call\n", Effect.RUNS),
        ("def a\nend\nif __FILE__ == $0\n  a\nend\n", Effect.RUNS),
        ("def a\nend\na if __FILE__ == $PROGRAM_NAME\n", Effect.RUNS),
        ("[1, 2].each { |n| puts n }\n", Effect.RUNS),
        ("class A < Sinatra::Base\n  run! if app_file == $0\nend\n", Effect.SERVES),
        ("require 'webrick'\ns = WEBrick::HTTPServer.new(Port: 1)\ns.start\n", Effect.SERVES),
        ("puts 1\n__END__\nTCPServer.new 1\n", Effect.RUNS),
    ],
)
def test_what_a_file_does(text: str, effect: Effect) -> None:
    assert doing_of(text).effect is effect


@pytest.mark.parametrize(
    ("files", "version", "image"),
    [
        ({}, "3.4", "ruby:3.4-slim-trixie"),
        ({".ruby-version": "ruby-3.3.6\n"}, "3.3.6", "ruby:3.3.6-slim"),
        ({".ruby-version": "3.3\n"}, "3.3", "ruby:3.3-slim-trixie"),
        ({".tool-versions": "ruby 3.4.1\n"}, "3.4.1", "ruby:3.4.1-slim"),
        ({"mise.toml": '[tools]\nruby = "4.0"\n'}, "4.0", "ruby:4.0-slim-trixie"),
        ({"Gemfile": GEMS + 'ruby "~> 3.3.0"\n'}, "3.3", "ruby:3.3-slim-trixie"),
        ({"Gemfile": GEMS + 'ruby ">= 3.1", "< 3.4"\n'}, "3.3", "ruby:3.3-slim-trixie"),
        (
            {"Gemfile": GEMS + 'ruby file: ".ruby-version"\n', ".ruby-version": "3.3.6"},
            "3.3.6",
            "ruby:3.3.6-slim",
        ),
        ({"Gemfile.lock": "RUBY VERSION\n   ruby 3.3.5p100\n"}, "3.3.5", "ruby:3.3.5-slim"),
        ({".ruby-version": "5.1\n"}, "5.1", "ruby:5.1-slim-trixie"),
    ],
)
def test_the_release(make_tree, files: dict[str, str], version: str, image: str) -> None:
    plan = make_plan(make_tree({"Gemfile": GEMS, "job.rb": RUNS, **files}))
    assert (plan.version, plan.stages[-1].base) == (version, image)
    assert plan.stages[0].base == image.replace("-slim", "")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {".ruby-version": "2.7.8"},
            r"\.ruby-version asks for Ruby '2\.7\.8', but base images exist for 3\.2, ",
        ),
        (
            {".ruby-version": "jruby-9"},
            r"\.ruby-version asks for Ruby 'jruby-9', which is not a version such as 3\.4",
        ),
        (
            {"Gemfile": GEMS + 'ruby "~> 3.4.0"\n', ".ruby-version": "3.3.6"},
            r"\.ruby-version asks for Ruby 3\.3\.6, but Gemfile says '~> 3\.4\.0'\. Make them agree\.",
        ),
    ],
)
def test_releases_that_can_not_be(make_tree, files: dict[str, str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make_plan(make_tree({"Gemfile": GEMS, "job.rb": RUNS, **files}))


def test_the_end_of_a_line_is_told(make_tree) -> None:
    plan = make_plan(make_tree({"Gemfile": GEMS, "job.rb": RUNS, ".ruby-version": "3.2"}))
    assert plan.warnings == ("Ruby 3.2 has had no security fixes since 2026-03-31: move to a newer one.",)


def test_gems_have_what_they_need(make_tree) -> None:
    lock = "GEM\n  specs:\n    pg (1.5.9)\n    rake (13.2.1)\n"
    text = render_dockerfile(
        make_plan(make_tree({"Gemfile": GEMS + 'gem "pg"\n', "Gemfile.lock": lock, "job.rb": RUNS}))
    )
    build, _, final = text.partition("AS job")
    assert "libpq5" in final
    assert "BUNDLE_FROZEN=true" in build
    assert "COPY Gemfile Gemfile.lock ./" in build
    assert "/app/Gemfile.lock" not in final


def test_gems_of_git_have_it(make_tree) -> None:
    tree = make_tree({"Gemfile": GEMS + 'gem "a", github: "acme/a"\n', "job.rb": RUNS})
    text = render_dockerfile(make_plan(tree))
    assert "install -y --no-install-recommends git" in text.partition("AS job")[2]
    assert "COPY --from=build /app/Gemfile.lock /app/Gemfile.lock" in text


def test_without_gems_there_is_one_stage(make_tree) -> None:
    plan = make_plan(make_tree({"job.rb": RUNS}))
    assert (len(plan.stages), plan.install_command) == (1, None)


def test_a_command_of_ones_own_counts(make_tree) -> None:
    tree = make_tree({"Gemfile": GEMS, "config/application.rb": "", "package.json": "{}"})
    plan = make_plan(
        tree, BuildSettings(run_command="bin/rails runner Nightly.call", build_command="rake prepare")
    )
    assert plan.command == ("bin/rails", "runner", "Nightly.call")
    assert plan.runtime == "ruby"


@pytest.mark.parametrize(("files", "writes"), [({"bin/rails": PROGRAM}, True), ({"job.rb": RUNS}, False)])
def test_rails_writes_where_it_does(make_tree, files: dict[str, str], writes: bool) -> None:
    plan = make_plan(make_tree({"Gemfile": GEMS, **files}), BuildSettings(run_command="rake export"))
    assert ("chmod -R a+rwX tmp log" in render_dockerfile(plan)) == writes
