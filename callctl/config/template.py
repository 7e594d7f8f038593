"""The commented callctl.toml that `callctl init` writes: every key, what it means, and its default.

The keys and defaults come from the records themselves; only the words are kept here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import attrs

from callctl.config.convert import key_of
from callctl.config.settings import BackupSettings, HttpSettings, LogSettings, ServerSettings, SwitchSettings
from callctl.config.show import inline
from callctl.model import AgentSettings, QueueSettings

HEADER = """\
# callctl's configuration. A line that begins with "#" and a key shows the built-in default: take the "#"
# away to change it. "callctl config show" prints what is in force, and "callctl check" tries it out.
# Times are in seconds; 0 means "no limit" or "off" unless it says otherwise.
"""

WORDS: Mapping[type, Mapping[str, str]] = {
    ServerSettings: {
        "listen": "Where FreeSWITCH's outbound sockets arrive: the address in the dialplan",
        "allow": "Addresses and networks that may connect there",
        "database": "The history and the agents, one SQLite file; relative to this file",
        "drain_timeout": "How long callers are served on after SIGTERM; then they go back to their dialplan",
        "control_group": "A group of the system whose members may use the control socket as well",
        "default_queue": "The queue of a call that names none, or one that is not there",
        "max_calls": "Calls beyond it stay in their dialplan, and come again",
    },
    SwitchSettings: {
        "name": "A name of your own, as it stands in the history",
        "host": "Where its Event Socket listens (event_socket.conf.xml)",
        "port": "",
        "password": "",
        "password_file": "Instead of password: a file that holds nothing else",
    },
    HttpSettings: {
        "listen": "The HTTP API, metrics and health checks. With keys, and where others reach it, it needs\n"
        "TLS, its own or a proxy's",
        "public_url": 'How browsers reach it: "https://callctl.example.com"',
        "tls_certificate_file": "Its TLS certificate, with the chain up to the root; read again at SIGHUP",
        "tls_key_file": "",
        "behind_proxy": "A proxy speaks TLS for it; requests of others than …",
        "trusted_proxies": "… these are refused",
        "jwt_secret_file": "The key that signs tokens (HS256), at least 32 bytes: openssl rand -base64 48 …",
        "jwt_public_key_file": "… or the public key of your own issuer (RS256, ES256, EdDSA) …",
        "jwks_file": "… or all of its keys, as a JWKS …",
        "jwks_url": "… or where it publishes them",
        "jwt_algorithms": "Algorithms of signatures that are accepted; nothing: what fits the key",
        "jwt_issuer": "What a token must say in iss and aud; nothing: anything, and no aud",
        "jwt_audience": "",
        "claim_account": "Which claims of a token say the account, the scopes and the agent; a.b goes deeper",
        "claim_scope": "",
        "claim_agent": "",
        "metrics": "Who may read /metrics without a token of account *: loopback, or open to everybody",
        "users": 'Who may log in: { ada = { password-hash = "$argon2…", scope = "supervisor" } }, see\n'
        "callctl config hash-password",
    },
    BackupSettings: {
        "folder": "Where copies of the database go, while the server runs; without it none are made",
        "every_hours": "How often",
        "keep": "How many are kept; older ones are deleted",
    },
    LogSettings: {
        "level": "debug, info, warning or error",
        "format": "json, text, or auto: text on a terminal, JSON elsewhere",
        "numbers": "shown, or masked: all but the last three digits",
    },
    QueueSettings: {
        "account": "Whose queue it is: only tokens of this account see it, and only its agents serve it.\n"
        '"*" is shared by all accounts',
        "strategy": "longest-idle-agent, agent-with-least-talk-time, agent-with-fewest-calls, round-robin,\n"
        "top-down, sequentially-by-agent-order, random, ring-all or ring-progressively",
        "moh_sound": "What callers hear while they wait",
        "wait_media": "answer, pre-answer (not billed yet) or ring-ready (only a ringing tone)",
        "greeting": "What callers hear first, once",
        "announce_sound": "Files that are played in turn while callers wait …",
        "announce_frequency": "… so often",
        "announce_position": "Whether the place is said: no, yes, or only-up: when it got better",
        "announce_wait": "Whether the expected wait is said: no, yes or once",
        "announce_interval": "How often these two are said, at least 15",
        "exit_keys": "Keys that end the wait (EXIT_WITH_KEY): 1*",
        "agent_announce": "What the agent hears before the caller",
        "accept_key": "The agent gets the caller only after pressing this one key, so no voicemail does, …",
        "accept_timeout": "… within this time, which begins when agent-announce has ended",
        "record_template": "Talks are recorded to this absolute path, such as /rec/%Y/{queue}-{call}.wav",
        "callback_key": "Who presses this one key, none of exit-keys, keeps the place and is called back …",
        "callback_dialstring": (
            '… by this dial string: "sofia/gateway/trunk/{number}". The phone shows the number dialled,\n'
            'or the one here: "{origination_caller_id_number=+4930123456}sofia/gateway/trunk/{number}"'
        ),
        "callback_attempts": "How often a callback is tried …",
        "callback_retry_interval": "… how long apart …",
        "callback_expiry": "… and until when, from the key on",
        "callback_offer": "The announcement that offers it …",
        "callback_offer_after": "… after so long a wait",
        "weight": "Agents of several queues take the caller with the highest score times weight",
        "time_base_score": "A caller's score counts from joining (queue) or from the call's begin (system)",
        "tier_rules_apply": "Whether higher tier levels wait before they are offered calls",
        "tier_rule_wait_second": "How long, for each level",
        "tier_rule_wait_multiply_level": "Level 2 waits once, level 3 twice, …",
        "tier_rule_no_agent_no_wait": "No waiting for a level where nobody is there",
        "max_callers": "Callers beyond it are refused (FULL)",
        "max_wait_time": "Then the wait ends (TIMEOUT)",
        "max_wait_time_with_no_agent": "Then the wait ends while nobody is there (NO_AGENT_TIMEOUT) …",
        "max_wait_time_with_no_agent_time_reached": "… and those who join meanwhile wait no longer than this",
        "ring_timeout": "How long an agent's phone rings",
        "ring_progressively_delay": "ring-progressively: when the next phone begins to ring",
        "wrap_up_time": "After-call work; it goes before the agent's own",
        "agent_no_answer_status": "What agents become who missed max-no-answer calls",
        "skip_agents_with_external_calls": "Agents who talk with somebody else are not rung",
        "join_when_empty": "Whether callers may join while nobody is there",
        "leave_when_empty": "Whether they leave (EMPTY) when the last agent goes",
        "discard_abandoned_after": "How long the place of a caller who was cut off is kept …",
        "abandoned_resume_allowed": "… if it is kept",
        "service_level_seconds": "The threshold of the service level",
        "short_abandon_seconds": "Who hangs up before this is not counted as abandoned",
        "skill_relax_seconds": "After this long a caller's skills are not asked for any more",
        "preferred_agent_seconds": "How long the agent whom a caller talked to last is tried first",
        "overflow": 'Rules, the first that holds: { to = "queue:sales", waited = 60, nobody-there = true }',
        "hours": 'When it is open: { timezone = "Europe/Berlin", open = ["Mon-Fri 09:00-17:00"] }',
        "closed_target": "Where callers go outside of the hours",
    },
    AgentSettings: {
        "account": 'Whose agent it is: it serves queues of this account and shared ones; "*" serves any',
        "display_name": "The name that people are shown",
        "contact": "The dial string of the phone",
        "contacts": 'For single switches: { fs2 = "user/1001" }',
        "max_no_answer": "After so many missed calls in a row the status becomes agent-no-answer-status.\n"
        "Without it (0, the default) a phone that nobody answers is rung for each new caller",
        "wrap_up_time": "After-call work",
        "reject_delay_time": "No calls for so long after the agent declined one,",
        "busy_delay_time": "… was busy,",
        "no_answer_delay_time": "… or did not answer",
        "skills": "Skills and their levels: { english = 5 }",
    },
}
"""What each key means, by record and field."""


def template() -> str:
    """Return a callctl.toml that does the same as none at all, and explains every key."""
    queue = QueueSettings(name="caller")
    lines = [
        HEADER,
        "[server]",
        *_keys(ServerSettings(), ("listen", "database")),
        "",
        '# One for each switch. FS_SERVERS="host,port,password|host,port,password" replaces them all.',
        "[[freeswitch]]",
        *_keys(SwitchSettings(name="fs1"), ("name", "host", "port", "password")),
        "",
        "[http]",
        *_keys(HttpSettings(), ()),
        "",
        "[backup]",
        *_keys(BackupSettings(), ()),
        "",
        "[log]",
        *_keys(LogSettings(), ()),
        "",
        "# One for each queue, by its name. Queues may live in the database alone: see callctl queue add.",
        "[queue.caller]",
        *_keys(queue, ("strategy", "moh_sound")),
        "",
        "# One for each agent, by name. Agents may live in the database alone: see callctl agent add.",
        "#[agent.1001]",
        *_keys(AgentSettings(name="1001", contact="user/1001", max_no_answer=3), ()),
        "# The queues that the agent serves, and in which place",
        "#tiers = { caller = { level = 1, position = 1 } }",
    ]
    return "\n".join(lines) + "\n"


def _keys(settings: attrs.AttrsInstance, active: Collection[str]) -> Iterator[str]:
    """Yield the lines of one record; fields that are not `active` are commented out."""
    words = WORDS[type(settings)]
    for attribute in attrs.fields(type(settings)):
        is_key_of_table = attribute.name == "name" and attribute.name not in active
        if is_key_of_table:
            continue
        for line in words.get(attribute.name, "").splitlines():
            yield f"# {line}"
        value = getattr(settings, attribute.name)
        shown = f"{key_of(attribute)} ={f' {inline(value)}' if value is not None else ''}"
        yield shown if attribute.name in active else f"#{shown}"
