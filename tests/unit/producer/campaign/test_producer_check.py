from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from producer.campaign.check import Checked, check
from producer.recipients.recipient import Recipient
from producer.settings import ProducerSettings

NOW = 1_800_000_000.0
CAMPAIGN = """\
name = "Sale"
from = "ann@example.com"
subject = "Hello {{ first_name }}"
html = "mail.html"
audience = "audience.csv"
"""
HTML = "<style>p { color: red }</style>\n<p>Hello {{ first_name }} in {{ city }}</p>"
AUDIENCE = "E-Mail,First name,city\nBob@Example.com,Bob,Bonn\n"


@pytest.fixture
def judge(tmp_path):
    def write_and_check(
        campaign: str = CAMPAIGN, html: str = HTML, audience: str | bytes = AUDIENCE, **files: str
    ) -> Checked:
        (tmp_path / "campaign.toml").write_text(campaign)
        (tmp_path / "mail.html").write_text(html)
        (tmp_path / "audience.csv").write_bytes(audience if isinstance(audience, bytes) else audience.encode())
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return check(tmp_path / "campaign.toml", None, NOW)

    return write_and_check


def told(checked: Checked) -> list[tuple[str, int | None, str]]:
    return [(Path(problem.file).name, problem.line, problem.key) for problem in checked.problems]


def test_a_good_campaign_is_compiled_with_a_sample(judge) -> None:
    checked = judge()
    assert checked.problems == []
    assert checked.campaign.fields == ("first_name", "city")
    assert 'style="color: red' in checked.campaign.html
    assert "{{ first_name }}" in checked.campaign.text
    assert checked.sample == Recipient("Bob@example.com", "other", False, ("Bob", "Bonn"))


def test_variables_from_nowhere_are_found_in_their_lines(judge) -> None:
    checked = judge(CAMPAIGN.replace("first_name", "frist_name"), html="<p>\n{{ citty }}\n{{ email }}</p>")
    assert told(checked) == [("campaign.toml", 3, "subject"), ("mail.html", 2, "html")]
    assert 'Did you mean "city"?' in checked.problems[1].fix


def test_a_default_makes_up_for_a_column_that_is_not_there(judge) -> None:
    checked = judge(f"{CAMPAIGN}[defaults]\ncountry = 'here'", html="<p>{{ country }}</p>")
    assert checked.problems == []
    assert checked.sample is not None
    assert checked.sample.values == ("Bob", "here")


def test_a_default_that_nothing_uses_is_warned_of(judge) -> None:
    checked = judge(f"{CAMPAIGN}[defaults]\nfist_name = 'you'")
    assert [str(warning).partition(": ")[2] for warning in checked.warnings] == [
        'defaults.fist_name: No template uses it. Did you mean "first_name"?'
    ]


@pytest.mark.parametrize(
    ("html", "line"),
    [("<p>\n{{ first_name", 2), ("{% if x %}", 1), ("<p>{{ city|nofilter }}</p>", 1), ("<p>{{ range(9) }}</p>", 1)],
)
def test_templates_that_do_not_parse_are_told_with_their_line(judge, html: str, line: int) -> None:
    assert told(judge(html=html)) == [("mail.html", line, "html")]


def test_a_stylesheet_that_would_have_to_be_loaded_is_refused_in_its_line(judge) -> None:
    assert told(judge(html='<p>x</p>\n<link rel="stylesheet" href="x.css">')) == [("mail.html", 2, "html")]


def test_missing_files_are_told_together(judge, tmp_path) -> None:
    campaign = CAMPAIGN.replace("mail.html", "none.html").replace("audience.csv", "none.csv") + 'text = "none.txt"'
    assert [key for _, _, key in told(judge(campaign))] == ["html", "text", "audience"]


def test_templates_must_be_utf8(judge, tmp_path) -> None:
    judge()
    (tmp_path / "mail.html").write_bytes(b"<p>\nJ\xfcrgen</p>")
    assert told(check(tmp_path / "campaign.toml", None, NOW)) == [("mail.html", 2, "html")]


@pytest.mark.parametrize(
    ("audience", "says"),
    [
        ("", "is empty"),
        ("name,first_name,city\n", "No column looks like the one with the addresses"),
        ("email,first_name,city\n", "Nobody in its first 0 rows"),
        ("email,first_name,city\nnobody,x,y\n", "in line 2: An email address must have an @-sign"),
        ("email,city,city,first_name\na@x.de,1,2,3\n", '2 columns "city"'),
        ("email,first_name,city\n".encode("utf-16"), "Set `encoding`"),
    ],
)
def test_an_audience_that_cannot_be_mailed_is_told(judge, audience: str | bytes, says: str) -> None:
    (problem,) = judge(audience=audience).problems
    assert says in str(problem)
    assert problem.line == 5


def test_columns_can_be_named_differently(judge) -> None:
    campaign = CAMPAIGN.replace(
        '"audience.csv"', '{ path = "audience.csv", email = "Kontakt", columns = { first_name = "Vorname" } }'
    )
    checked = judge(campaign, audience="Kontakt,Vorname,city\nbob@example.com,Bob,Bonn\n")
    assert checked.problems == []
    assert checked.sample is not None
    assert checked.sample.values == ("Bob", "Bonn")


def test_a_mapping_to_a_column_that_is_not_there_is_told(judge) -> None:
    campaign = CAMPAIGN.replace('"audience.csv"', '{ path = "audience.csv", columns = { first_name = "Fist name" } }')
    (problem,) = judge(campaign).problems
    assert (problem.key, problem.fix) == ("audience.columns.first_name", 'Did you mean "First name"?')


def test_bad_rows_are_warned_of_and_stop_nothing(judge) -> None:
    checked = judge(audience=f"{AUDIENCE}nobody,x,y\n")
    assert checked.problems == []
    assert "1 of its first 2 rows cannot be used; the first one, in line 3" in checked.warnings[0].message


def test_a_template_that_fails_for_everybody_is_told_before_anything_is_sent(judge) -> None:
    (problem,) = judge(html="<p>{{ 1 / (first_name|length - 3) }}{{ city }}</p>").problems
    assert "The mail to Bob@example.com cannot be rendered: ZeroDivisionError" in problem.message


def test_the_sample_of_the_file_comes_before_the_audience(judge) -> None:
    checked = judge(f'{CAMPAIGN}sample = {{ email = "eve@example.com", first_name = "Eve", city = "Ems" }}')
    assert checked.sample == Recipient("eve@example.com", "other", False, ("Eve", "Ems"))


def test_a_sample_without_a_value_is_told(judge) -> None:
    (problem,) = judge(f'{CAMPAIGN}sample = "eve@example.com"').problems
    assert 'no value for "first_name"' in problem.message


def test_parquet_without_pyarrow_names_the_extra(judge, tmp_path) -> None:
    judge(CAMPAIGN.replace("audience.csv", "audience.parquet"), audience_parquet="x")
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from producer.campaign.check import check\n"
        f"print(*check(Path({str(tmp_path / 'campaign.toml')!r}), None, 0).problems)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'jetpost[parquet]'" in shown.stdout


def test_the_example_campaign_has_no_problems() -> None:
    campaign = Path(__file__).parents[4] / "examples" / "newsletter" / "campaign.toml"
    assert check(campaign, ["demo"], NOW, ProducerSettings()).problems == []


LINKS = """<p>Hello {{ first_name }} in {{ city }}</p>
<a href="https://shop.example/{{ campaign_id }}">Shop</a> <a href="https://shop.example/?for={{ email }}">Yours</a>
<a href="{{ unsubscribe_url }}">Unsubscribe</a>"""


def test_links_and_a_pixel_go_into_a_tracked_campaign_and_its_text_stays_readable(judge) -> None:
    campaign = judge(f"{CAMPAIGN}id = 'sale'\ntracking = true\n", html=LINKS).campaign
    assert campaign.links == ("https://shop.example/sale",)
    assert campaign.html.count("{{ jetpost_click_url }}/1") == campaign.html.count("{{ jetpost_open_url }}") == 1
    assert "Shop (https://shop.example/{{ campaign_id }})" in campaign.text


def test_a_link_that_is_not_counted_is_warned_of(judge) -> None:
    checked = judge(f"{CAMPAIGN}tracking = true\n", html=LINKS)
    (warning,) = checked.warnings
    assert (warning.key, warning.line) == ("tracking", 6)
    assert warning.message == "Clicks on https://shop.example/?for={{ email }} are not counted."


def test_without_tracking_a_campaign_has_its_own_links(judge) -> None:
    checked = judge(html=LINKS)
    assert checked.campaign.links == ()
    assert "jetpost_" not in checked.campaign.html
    assert checked.warnings == []


def test_a_mail_that_gmail_would_cut_is_warned_of(judge) -> None:
    short, long = (LINKS + "<p>=</p>\n" * count for count in (9_000, 14_000))
    assert judge(html=short).warnings == []
    (warning,) = judge(html=long).warnings
    assert "Gmail shows the first 102" in warning.message
