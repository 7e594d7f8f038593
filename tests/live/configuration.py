"""Writes the configuration of a FreeSWITCH that plays the trunk, the switch and the agents' phones.

It is as small as it can be, on free ports, with the project's own dialplan in it: what people are told to
put into their FreeSWITCH is what is tested. The callers and phones are extensions in contexts of their own.
"""

from __future__ import annotations

import math
import re
import socket
import wave
from array import array
from pathlib import Path

from attrs import field, frozen

DIALPLAN = Path(__file__).parents[2] / "dialplan"
EXAMPLES = Path(__file__).parents[2] / "examples"

NEEDED_MODULES = (
    "mod_event_socket",
    "mod_commands",
    "mod_dptools",
    "mod_dialplan_xml",
    "mod_tone_stream",
    "mod_sndfile",
    "mod_sofia",
)
WELCOME_MODULES = (
    "mod_logfile",
    "mod_local_stream",
    "mod_say_en",
    "mod_callcenter",
    "mod_conference",
    "mod_valet_parking",
)
"""Loaded where they are installed; without mod_local_stream callers wait in silence."""

PASSWORD = "live-password"
AWAY_SECONDS = 2
"""How often the dialplan knocks while callctl is away; FreeSWITCH ignores a playback_timeout_sec under 2."""

RTP_PORTS = (34000, 38000)
"""Apart from FreeSWITCH's usual ones, so that another FreeSWITCH may run on the same machine."""


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _free_tcp_port() -> int:
    return _free_port(socket.SOCK_STREAM)


def _free_sip_port() -> int:
    return _free_port(socket.SOCK_DGRAM)


@frozen(kw_only=True)
class Ports:
    """Where everything listens, on 127.0.0.1: found free a moment ago."""

    event_socket: int = field(factory=_free_tcp_port)
    callctl: int = field(factory=_free_tcp_port)
    http: int = field(factory=_free_tcp_port)
    trunk: int = field(factory=_free_sip_port)
    phones: int = field(factory=_free_sip_port)
    office: int = field(factory=_free_sip_port)


def write_configuration(directory: Path, ports: Ports, modules: Path) -> None:
    """Write all files into `directory`; `modules` is where FreeSWITCH keeps its modules."""
    sounds = directory / "sounds"
    sounds.mkdir(parents=True)
    _write_music(sounds / "music.wav")
    installed = {path.stem for path in modules.glob("mod_*.so")}
    loaded = [*NEEDED_MODULES, *(name for name in WELCOME_MODULES if name in installed)]
    (directory / "freeswitch.xml").write_text(
        _FREESWITCH.format(
            modules="".join(f'<load module="{name}"/>' for name in loaded),
            event_socket=ports.event_socket,
            password=PASSWORD,
            trunk=_profile("trunk", ports.trunk, "public"),
            phones=_profile("phones", ports.phones, "phones"),
            office=_profile("office", ports.office, "default"),
            first_rtp=RTP_PORTS[0],
            last_rtp=RTP_PORTS[1],
            sounds=sounds,
            callcenter=_CALLCENTER if "mod_callcenter" in installed else "",
            callctl=ports.callctl,
            phone_port=ports.phones,
        )
    )
    dialplan = (DIALPLAN / "callctl.xml").read_text()
    (directory / "callctl.xml").write_text(_with_settings(dialplan, ports))
    (directory / "numbers.xml").write_text((EXAMPLES / "freeswitch" / "numbers.xml").read_text())


def _with_settings(dialplan: str, ports: Ports) -> str:
    """Change the settings at the top of the project's dialplan, as a person would."""
    for name, value in {
        "callctl_sockets": f"127.0.0.1:{ports.callctl}",
        "callctl_numbers": "^(callctl|[+]?49301234[0-9]+)$",
        "callctl_away_music": "tone_stream://%(100,900,440);loops=-1",
        "callctl_away_seconds": str(AWAY_SECONDS),
    }.items():
        dialplan, replaced = re.subn(rf'(data="{name}=)[^"]*"', rf'\g<1>{value}"', dialplan)
        assert replaced == 1, f"the dialplan has no setting {name}"
    return dialplan


def _write_music(path: Path) -> None:
    """Write two seconds of a quiet tone, at the rate of the calls."""
    rate = 8000
    samples = array("h", (int(2000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(2 * rate)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def _profile(name: str, port: int, context: str) -> str:
    # With it mod_sofia says of a phone's own call whose it is (Channel-Presence-ID); a trunk's are nobody's.
    presence = "true" if name == "phones" else "false"
    return _PROFILE.format(name=name, port=port, context=context, presence=presence)


_PROFILE = """\
<profile name="{name}">
  <settings>
    <param name="sip-ip" value="127.0.0.1"/>
    <param name="rtp-ip" value="127.0.0.1"/>
    <param name="sip-port" value="{port}"/>
    <param name="context" value="{context}"/>
    <param name="dialplan" value="XML"/>
    <param name="inbound-codec-prefs" value="PCMU,PCMA"/>
    <param name="outbound-codec-prefs" value="PCMU,PCMA"/>
    <param name="rtp-timer-name" value="soft"/>
    <param name="manage-presence" value="{presence}"/>
    <param name="auth-calls" value="false"/>
    <param name="accept-blind-reg" value="true"/>
    <param name="multiple-registrations" value="true"/>
    <param name="enable-timer" value="false"/>
    <param name="tls" value="false"/>
  </settings>
</profile>"""

_CALLCENTER = """\
<configuration name="callcenter.conf">
  <queues>
    <queue name="compared@live">
      <param name="strategy" value="longest-idle-agent"/>
      <param name="moh-sound" value="local_stream://moh"/>
      <param name="time-base-score" value="queue"/>
      <param name="tier-rules-apply" value="false"/>
    </queue>
    <queue name="imported@live">
      <param name="announce-sound" value="ivr/one-moment.wav"/>
      <param name="announce-frequency" value="30"/>
      <param name="max-wait-time" value="60"/>
    </queue>
  </queues>
  <agents><agent name="1001@live" type="callback" contact="user/1001" status="Logged Out"/></agents>
  <tiers><tier agent="1001@live" queue="imported@live" level="0" position="2"/></tiers>
</configuration>"""

_FREESWITCH = """\
<?xml version="1.0"?>
<document type="freeswitch/xml">
<X-PRE-PROCESS cmd="set" data="domain=127.0.0.1"/>
<section name="configuration">
<configuration name="modules.conf"><modules>{modules}</modules></configuration>
<configuration name="switch.conf">
  <settings>
    <param name="switchname" value="live"/>
    <param name="max-sessions" value="1000"/>
    <param name="sessions-per-second" value="200"/>
    <param name="loglevel" value="warning"/>
    <param name="rtp-start-port" value="{first_rtp}"/>
    <param name="rtp-end-port" value="{last_rtp}"/>
  </settings>
</configuration>
<configuration name="logfile.conf">
  <settings><param name="rotate-on-hup" value="false"/></settings>
  <profiles><profile name="default"><mappings>
    <map name="all" value="warning,err,crit,alert"/>
  </mappings></profile></profiles>
</configuration>
<configuration name="event_socket.conf">
  <settings>
    <param name="nat-map" value="false"/>
    <param name="listen-ip" value="127.0.0.1"/>
    <param name="listen-port" value="{event_socket}"/>
    <param name="password" value="{password}"/>
    <param name="apply-inbound-acl" value="loopback.auto"/>
    <param name="stop-on-bind-error" value="true"/>
  </settings>
</configuration>
<configuration name="sofia.conf"><profiles>
{trunk}
{phones}
{office}
</profiles></configuration>
<configuration name="local_stream.conf">
  <directory name="moh" path="{sounds}">
    <param name="rate" value="8000"/>
    <param name="channels" value="1"/>
    <param name="interval" value="20"/>
    <param name="timer-name" value="soft"/>
  </directory>
</configuration>
{callcenter}
<configuration name="conference.conf">
  <profiles><profile name="default">
    <param name="rate" value="8000"/>
    <param name="interval" value="20"/>
    <param name="energy-level" value="100"/>
  </profile></profiles>
</configuration>
</section>
<section name="dialplan">

<context name="public">
  <!-- What a trunk's own extensions may do before callctl: choose the queue by the dialled number. -->
  <extension name="visit"><condition field="destination_number" expression="^visit-(.+)$">
    <action application="set" data="queue=$1"/>
    <action application="transfer" data="callctl-enter"/>
  </condition></extension>
  <extension name="forced"><condition field="destination_number" expression="^forced$">
    <action application="set" data="force_transfer_context=nowhere"/>
    <action application="transfer" data="callctl-enter XML public"/>
  </condition></extension>
  <!-- Where callers are sent, or go on when callctl is done with them. -->
  <extension name="elsewhere"><condition field="destination_number" expression="^elsewhere$">
    <action application="answer"/>
    <action application="set" data="live_place=elsewhere"/>
    <action application="endless_playback" data="tone_stream://%(500,500,300);loops=-1"/>
  </condition></extension>
  <extension name="announcement"><condition field="destination_number" expression="^announcement$">
    <action application="answer"/>
    <action application="set" data="live_place=announcement"/>
    <action application="playback" data="tone_stream://%(500,500,300);loops=-1"/>
  </condition></extension>
  <extension name="colleague"><condition field="destination_number" expression="^colleague$">
    <action application="set" data="live_place=colleague"/>
    <action application="bridge" data="sofia/phones/answer@127.0.0.1:{phone_port}"/>
  </condition></extension>
  <extension name="timed-out">
    <condition field="destination_number" expression="^callctl-done$"/>
    <condition field="${{callctl_reason}}" expression="^TIMEOUT$">
      <action application="set" data="live_place=timed-out"/>
      <action application="park"/>
    </condition>
  </extension>
  <!-- Two that a person might write by mistake. -->
  <extension name="not-full"><condition field="destination_number" expression="^not-full$">
    <action application="socket" data="127.0.0.1:{callctl} async"/>
    <action application="set" data="live_place=behind"/>
    <action application="park"/>
  </condition></extension>
  <extension name="not-async"><condition field="destination_number" expression="^not-async$">
    <action application="socket" data="127.0.0.1:{callctl} full"/>
    <action application="set" data="live_place=behind"/>
    <action application="park"/>
  </condition></extension>
  <extension name="callcenter"><condition field="destination_number" expression="^callcenter$">
    <action application="answer"/>
    <action application="callcenter" data="compared@live"/>
  </condition></extension>
  <X-PRE-PROCESS cmd="include" data="numbers.xml"/>
  <X-PRE-PROCESS cmd="include" data="callctl.xml"/>
</context>

<!-- What the agents' own phones can dial. -->
<context name="default">
  <extension name="colleague"><condition field="destination_number" expression="^1002$">
    <action application="set" data="live_place=colleague-1002"/>
    <action application="bridge" data="sofia/phones/answer@127.0.0.1:{phone_port}"/>
  </condition></extension>
  <extension name="queue"><condition field="destination_number" expression="^queue-(.+)$">
    <action application="set" data="queue=$1"/>
    <action application="set" data="callctl_skills=consulted"/>
    <action application="transfer" data="callctl-enter XML public"/>
  </condition></extension>
</context>

<context name="phones">
  <extension name="answer"><condition field="destination_number" expression="^answer$">
    <action application="answer"/><action application="park"/>
  </condition></extension>
  <extension name="ring"><condition field="destination_number" expression="^ring(\\d+)$">
    <action application="ring_ready"/><action application="sleep" data="$1"/>
    <action application="answer"/><action application="park"/>
  </condition></extension>
  <extension name="talk"><condition field="destination_number" expression="^ring(\\d+)talk(\\d+)$">
    <action application="ring_ready"/><action application="sleep" data="$1"/>
    <action application="answer"/><action application="sleep" data="$2"/>
    <action application="hangup" data="NORMAL_CLEARING"/>
  </condition></extension>
  <!-- The same, for agents who must be told apart: 3-ring200talk1000. -->
  <extension name="agent"><condition field="destination_number" expression="^\\d+-(ring\\d+talk\\d+)$">
    <action application="transfer" data="$1"/>
  </condition></extension>
  <!-- Answers and hangs up in one breath. -->
  <extension name="blink"><condition field="destination_number" expression="^blink$">
    <action application="answer"/><action application="hangup" data="NORMAL_CLEARING"/>
  </condition></extension>
  <extension name="busy"><condition field="destination_number" expression="^busy$">
    <action application="hangup" data="USER_BUSY"/>
  </condition></extension>
  <extension name="reject"><condition field="destination_number" expression="^reject$">
    <action application="hangup" data="CALL_REJECTED"/>
  </condition></extension>
  <extension name="noanswer"><condition field="destination_number" expression="^noanswer$">
    <action application="ring_ready"/><action application="sleep" data="120000"/>
  </condition></extension>
</context>

</section>
<section name="directory">
  <domain name="127.0.0.1">
    <params>
      <param name="dial-string" value="${{sofia_contact(${{dialed_user}}@${{dialed_domain}})}}"/>
    </params>
    <user id="away"><params><param name="password" value="away"/></params></user>
    <user id="1001"/>
  </domain>
  <!-- A tenant with a user of the same name. -->
  <domain name="b.example">
    <params>
      <param name="dial-string" value="${{sofia_contact(${{dialed_user}}@${{dialed_domain}})}}"/>
    </params>
    <user id="1001"/>
  </domain>
</section>
<section name="languages">
  <language name="en" say-module="en" sound-prefix="{sounds}"><phrases><macros></macros></phrases></language>
</section>
</document>
"""
