"""Deploy keys and host keys on the page of a credential."""

from __future__ import annotations

from dataclasses import replace

from app.domain.errors import GitUnavailable
from app.domain.host_keys import HostKey, read_key
from app.secrets.key_pairs import new_key, public_key_of
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.project_pages import ACME, shown, visitor
from tests.support.seed import World

CREDENTIALS = f"{ACME}/credentials"
ONE = f"{CREDENTIALS}/deploy"
FIRST, SECOND = (read_key(public_key_of(new_key())) for _ in range(2))


def test_a_deploy_key_is_made_shown_and_its_server_confirmed(made: World, api: Client, page: Client) -> None:
    fields = form_fields(page.get(CREDENTIALS).text, CREDENTIALS)
    given = {"name": "deploy", "kind": "git", "host": "git.example.com", "ssh_key": "1"}
    done = page.post(CREDENTIALS, data=fields | given)
    assert (done.status_code, done.headers["location"]) == (303, f"{ONE}#ssh-key")
    text = page.get(ONE).text
    key = shown(api, ONE)["public_key"]
    assert f"{key} jobyard" in text
    assert "Settings → Deploy keys → Add deploy key" in text
    assert "what the server shows at the first connection is pinned" in text

    answers: list[tuple[HostKey, ...] | GitUnavailable] = [
        GitUnavailable("No ssh server answered."),
        (FIRST,),
    ]

    def shown_by(_host: str) -> tuple[HostKey, ...]:
        answer = answers.pop(0)
        if isinstance(answer, GitUnavailable):
            raise answer
        return answer

    looking = visitor(made, context=replace(made.context, host_keys_of=shown_by))
    assert "No ssh server answered." in looking.post(f"{ONE}/host-keys/look").text
    found = looking.post(f"{ONE}/host-keys/look").text
    assert FIRST.fingerprint in found
    assert shown(api, ONE)["host_keys"] == []
    accepted = form_fields(found, f"{ONE}/host-keys")
    assert page.post(f"{ONE}/host-keys", data=accepted).status_code == 303
    assert shown(api, ONE)["host_keys_from"] == "person"
    assert "Somebody has confirmed these." in page.get(ONE).text

    page.post(f"{ONE}/host-keys", data={"host_keys": ""})
    assert shown(api, ONE)["host_keys_from"] == "nobody"


def test_keys_that_nobody_has_confirmed_are_shown_as_such(made: World, api: Client, page: Client) -> None:
    from app.commands.credentials import pin_shown
    from app.commands.remote_access import git_access
    from app.store import credentials

    body = {"name": "deploy", "kind": "git", "host": "git.example.com", "ssh_key": True}
    assert api.post(f"/api/v1{CREDENTIALS}", json=body).status_code == 201
    with made.db.read() as tx:
        used = git_access(
            tx, made.context.vault, credentials.named(tx, 1, "deploy").id, "git@git.example.com:a/b"
        )
    assert used is not None
    pin_shown(made.db)(used, [FIRST])
    text = page.get(ONE).text
    assert "Nobody has confirmed these yet." in text
    assert f'name="host_keys" value="{FIRST}"' in text
    page.post(f"{ONE}/host-keys", data={"host_keys": str(FIRST)})
    assert shown(api, ONE)["host_keys_from"] == "person"
    wrong = page.post(f"{ONE}/host-keys", data={"host_keys": "nonsense"})
    assert (wrong.status_code, "must be a host key such as" in wrong.text) == (422, True)
