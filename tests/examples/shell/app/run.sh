#!/usr/bin/env bash
set -euo pipefail
words=(from bash)
echo "${words[@]}"
