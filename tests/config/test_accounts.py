"""What a file says of accounts: nothing in it crosses from one into another."""

from __future__ import annotations

from pathlib import Path

import pytest

from callctl.config import load_config
from callctl.errors import ConfigError

QUEUES = """
[server]
default-queue = "front"
[queue.front]
account = "*"
[queue.sales]
account = "acme"
[queue.help]
account = "globex"
"""


def load(tmp_path: Path, text: str):
    path = tmp_path / "callctl.toml"
    path.write_text(QUEUES + text, "utf-8")
    return load_config(path, {})


def test_queues_and_agents_have_accounts_and_agents_a_name_for_people(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "[agent.1001]\naccount = 'acme'\ndisplay-name = 'Ada Lovelace'\ntiers = { sales = {}, front = {} }\n"
        "[agent.1002]\naccount = '*'\ntiers = { sales = {}, help = {} }\n[agent.1003]\n",
    )
    assert [queue.account for queue in config.queues.values()] == ["*", "acme", "globex"]
    assert [agent.account for agent in config.agents.values()] == ["acme", "*", "default"]
    assert config.agents["1001"].display_name == "Ada Lovelace"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "[agent.1001]\naccount = 'acme'\ntiers = { help = {} }\n",
            r"callctl.toml:12: agent.1001.tiers.help: agent 1001 of account acme cannot serve queue help",
        ),
        (
            "overflow = [{ to = 'queue:sales', waited = 9 }]\n",
            r"callctl.toml:10: queue.help.overflow: queue help of account globex cannot send callers to "
            "queue sales of account acme",
        ),
        ("closed-target = 'queue:sales'\n", "callctl.toml:10: queue.help.closed-target: queue help of"),
        ("[queue.x]\naccount = ''\n", r"callctl.toml:11: queue.x.account: a name has 1 to 100"),
        ("[queue.x]\naccount = 'a/b'\n", r"callctl.toml:11: queue.x.account: a name has no slash"),
    ],
)
def test_what_crosses_is_refused_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path, text)


def test_a_shared_queue_sends_nobody_into_a_single_account(tmp_path: Path) -> None:
    text = QUEUES.replace('account = "*"', 'account = "*"\nclosed-target = "queue:sales"')
    path = tmp_path / "callctl.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"queue front of account \* cannot send callers to queue sales"):
        load_config(path, {})
