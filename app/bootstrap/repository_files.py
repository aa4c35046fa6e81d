"""What applies the files of repositories, the same for pushes and for rehearsals of them."""

from __future__ import annotations

from app.bootstrap.parts import Parts
from app.web.declared.repository_file import RepositoryFile
from app.web.form_rules import FormRules


def repository_file(parts: Parts) -> RepositoryFile:
    own, rules = parts.installation, FormRules(parts.settings.sizes, parts.checkouts.validate_url)
    return RepositoryFile(rules, parts.names, own.box, own.ours)
