"""The campaign that is measured: a personalised mail of a given size, text and HTML, to ordinary people everywhere.

It is the benchmark's own, and does not change with the examples: figures stay comparable.
"""

from __future__ import annotations

import csv
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from typing import Final

from jetpost.demo import audience as made_up
from producer.campaign.check import Checked, check
from producer.recipients import audience
from producer.recipients.recipient import Recipient
from producer.rendering.renderer import compile_campaign
from producer.settings import ProducerSettings

POOL: Final = "default"
DOMAIN: Final = "longwayhome.example"
"""Of From."""
WITHIN: Final = 0.002
"""Of the wanted size; recipients differ by more than that."""
_SAMPLE: Final = 500
_TRIES: Final = 10
_PARAGRAPH: Final = 400

_CAMPAIGN: Final = """\
id = "bench"
name = "Bench"
from = "The Long Way Home <letter@longwayhome.example>"
reply_to = "hello@longwayhome.example"
return_path = "bounces@longwayhome.example"
subject = "{{ first_name }}, three slow journeys from {{ city }}"
html = "mail.html"
text = "mail.txt"
policy = "at_most_once"
[audience]
path = "audience.csv"
email = "email"
[defaults]
first_name = "traveller"
[headers]
X-Campaign = "{{ campaign_id }}"
"""
_TEXT: Final = """\
Dear {{ first_name }} {{ last_name }},

three slow journeys begin near {{ city }} this month.{% if plan == "free" %}
Patrons read all of our letters: https://longwayhome.example/patron{% else %}
Thank you for being with us on the plan {{ plan }}, since {{ joined }}.{% endif %}

Your {{ points }} points are good for a night in any of our houses.

Unsubscribe: {{ unsubscribe_url }}
"""
_HTML: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The Long Way Home</title>
<style>
body { margin: 0; background: #efe9dd; }
h1 { margin: 0 0 12px; font: 700 34px/1.15 Georgia, serif; color: #24463d; }
.sheet { max-width: 600px; margin: 0 auto; background: #fffdf8; font: 16px/1.6 Helvetica, Arial, sans-serif; }
.small { font-size: 13px; color: #6d6a60; }
</style></head>
<body><table role="presentation" width="100%"><tr><td class="sheet">
<h1>Three slow journeys from {{ city }}</h1>
<p>Dear {{ first_name }} {{ last_name }},</p>
{% if plan == "free" %}<p>Patrons read all of our letters. <a href="https://longwayhome.example/patron">Become one</a>.</p>
{% else %}<p>Thank you for being with us on the plan <b>{{ plan }}</b>, since {{ joined }}.</p>{% endif %}
%STORIES%
<p>Your <b>{{ points }}</b> points are good for a night in any of our houses.</p>
<p class="small">You read this as {{ email }}. <a href="{{ unsubscribe_url }}">Unsubscribe</a>, no hard feelings.</p>
</td></tr></table></body></html>
"""
_SENTENCES: Final = (
    "The night train leaves at ten past nine, and the dining car closes only when the last guest has gone to bed.",
    "Walk down to the harbour before breakfast; the fishermen sell what they do not want to carry up the hill.",
    "Nobody here owns a watch that works, and nobody has ever missed the ferry.",
    "The house stands at the end of the road, behind two lime trees, and its door is never locked.",
    "Bring a coat even in July, a book that you have been putting off, and time.",
    "From the ridge you see three countries, and on clear evenings the lights of a fourth.",
)


def write(folder: Path, mails: int, size: int, settings: ProducerSettings) -> Checked:
    """Campaign and audience in `folder`, checked; a mail has `size` bytes on average."""
    folder.mkdir(parents=True)
    (folder / "campaign.toml").write_text(_CAMPAIGN, "utf-8")
    (folder / "mail.txt").write_text(_TEXT, "utf-8")
    _write_audience(folder / "audience.csv", mails)
    story = size
    for _ in range(_TRIES):
        checked = _with_story(folder, story)
        found = _average_size(checked, settings)
        if abs(found - size) <= size * WITHIN:
            return checked
        story += round((size - found) * 0.97)  # quoted-printable adds a little to every line
        if story < 0:
            break
    raise SystemExit(
        f"this mail cannot be made {size:,} bytes long: with {max(story, 0):,} of story it has {found:,.0f}"
    )


def _with_story(folder: Path, length: int) -> Checked:
    (folder / "mail.html").write_text(_HTML.replace("%STORIES%", _story(max(length, 0))), "utf-8")
    checked = check(folder / "campaign.toml", known_pools=[POOL], now=time.time())
    if checked.problems:
        raise SystemExit("\n".join(str(problem) for problem in checked.problems))
    return checked


def _story(length: int) -> str:
    """Paragraphs with so many characters of text together."""
    text = "".join(islice(cycle(" ".join((*_SENTENCES, ""))), length))
    paragraphs = [text[start : start + _PARAGRAPH] for start in range(0, length, _PARAGRAPH)]
    return "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


def _average_size(checked: Checked, settings: ProducerSettings) -> float:
    assert checked.launchable is not None
    renderer = compile_campaign(checked.campaign, settings)
    rows = islice(audience.read(checked.launchable.audience, checked.launchable.projection), _SAMPLE)
    return mean(len(renderer.render(row).message) for row in rows if isinstance(row, Recipient))


def _write_audience(file: Path, mails: int) -> None:
    """The demo's people without the tags that make their mailboxes misbehave."""
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(made_up.COLUMNS)
        for address, *rest in made_up.people(mails):
            local, _, domain = address.partition("@")
            rows.writerow((f"{local.partition('+')[0]}@{domain}", *rest))
