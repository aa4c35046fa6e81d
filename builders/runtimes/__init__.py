"""The languages. A new one is a file here and a line in the list."""

from builders.runtimes import cmake, go, java, node, php, procfile, python, ruby, rust, shell
from builders.runtimes.base import Runtime

# Among equally strong signs the earlier one wins: what a back end is written in before what a page needs.
RUNTIMES: tuple[Runtime, ...] = (
    java.RUNTIME,
    go.RUNTIME,
    php.RUNTIME,
    python.RUNTIME,
    ruby.RUNTIME,
    rust.RUNTIME,
    node.RUNTIME,
    cmake.RUNTIME,
    shell.RUNTIME,
    procfile.RUNTIME,
)

# Root files of languages without a runtime here, so that such a repository isn't taken for another.
# Those a page's package.json often sits beside:
BACK_ENDS: dict[str, str] = {
    "build.gradle": "Java",
    "build.gradle.kts": "Kotlin",
    "settings.gradle": "Java",
    "settings.gradle.kts": "Kotlin",
    "build.sbt": "Scala",
    "deps.edn": "Clojure",
    "project.clj": "Clojure",
    "mix.exs": "Elixir",
    ".csproj": ".NET",
    ".fsproj": ".NET",
    ".sln": ".NET",
    ".slnx": ".NET",
}
FOREIGN: dict[str, str] = {
    **BACK_ENDS,
    "gradlew": "Java",
    "mvnw": "Java",
    ".java": "Java",
    ".jar": "Java",
    "environment.yml": "Conda",
    "environment.yaml": "Conda",
    "gleam.toml": "Gleam",
    "deno.json": "Deno",
    "deno.jsonc": "Deno",
    "Package.swift": "Swift",
    "pubspec.yaml": "Dart",
    "build.zig": "Zig",
    "stack.yaml": "Haskell",
    "meson.build": "C++",
}
# What is told where nothing at all is recognised: many of these lie beside what is.
LOOSE: dict[str, str] = {
    "cpanfile": "Perl",
    "Makefile.PL": "Perl",
    "Build.PL": "Perl",
    ".pl": "Perl",
    "renv.lock": "R",
    ".R": "R",
    ".Rproj": "R",
    "Project.toml": "Julia",
    ".jl": "Julia",
    "rebar.config": "Erlang",
    "dune-project": "OCaml",
    ".cabal": "Haskell",
    "shard.yml": "Crystal",
    ".nimble": "Nim",
    ".lua": "Lua",
    ".ps1": "PowerShell",
    ".cs": ".NET",
    ".kt": "Kotlin",
    ".scala": "Scala",
    ".swift": "Swift",
    ".c": "C without CMake",
    ".cc": "C++ without CMake",
    ".cpp": "C++ without CMake",
}
