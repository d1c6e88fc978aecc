from pathlib import Path

from jetpost.attaching import checked_with_esps
from jetpost.settings import load
from producer.campaign.check import check

AT = 1_800_000_000.0


def checked(tmp_path: Path, environment, routes=""):
    (tmp_path / "a.csv").write_text("email\nada@example.com\n")
    (tmp_path / "m.html").write_text("<p>hello</p><a href='{{ unsubscribe_url }}'>x</a>")
    file = tmp_path / "c.toml"
    file.write_text(
        'name = "N"\nid = "n"\npool = "main"\nfrom = "News <n@example.org>"\nsubject = "S"\nhtml = "m.html"\n'
        f'audience = "a.csv"\nreturn_path = "b@example.org"\n{routes}'
    )
    settings = load(file=None, environment=environment).settings
    found = check(file, list(settings.sender.pools), AT, settings.producer)
    assert not found.problems, found.problems
    return checked_with_esps(found, settings)


def test_mails_are_made_for_the_esp_behind_their_pool(tmp_path):
    environment = {"JETPOST_SENDER_POOLS_MAIN_ESP": "sendgrid"}
    assert checked(tmp_path, environment).campaign.esps == ("sendgrid",)


def test_and_for_those_behind_the_pools_of_their_routes(tmp_path):
    environment = {"JETPOST_SENDER_POOLS_MAIN_ESP": "sendgrid", "JETPOST_SENDER_POOLS_SPARE_ESP": "ses"}
    found = checked(tmp_path, environment, '[routes]\ngmail = ["main", "spare"]\n')
    assert found.campaign.esps == ("sendgrid", "ses")


def test_relays_of_ones_own_need_nothing(tmp_path):
    environment = {"JETPOST_SENDER_POOLS_MAIN_HOST": "relay.example"}
    assert checked(tmp_path, environment).campaign.esps == ()
