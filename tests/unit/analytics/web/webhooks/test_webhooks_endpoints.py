import esps
import pytest

from analytics.callbacks import credentials
from analytics.callbacks.registry import ESPS
from analytics.web.webhooks.endpoints import WebhookUnusable, decoy, endpoints
from analytics.web.webhooks.settings import Webhook


def one(**fields):
    (endpoint,) = endpoints({"shop": Webhook(**fields)}).values()
    return endpoint


def test_secrets_of_a_file_hold_beside_those_of_the_settings(tmp_path):
    file = tmp_path / "secrets.toml"
    file.write_text('signing_secrets = ["new"]\n')
    assert one(esp="mailgun", signing_secrets=("old",), secrets_file=file).secrets.signing_key == ("old", "new")


@pytest.mark.parametrize("text", ['signing_secret = ["x"]', "signing_secrets = 3", "no toml"])
def test_a_file_with_anything_else_is_refused(tmp_path, text):
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    with pytest.raises(WebhookUnusable, match=r"web\.webhooks\.shop\.secrets_file"):
        one(esp="mailgun", secrets_file=file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WebhookUnusable, match=r"missing\.toml: No such file"):
        one(esp="mailgun", secrets_file=tmp_path / "missing.toml")


@pytest.mark.parametrize("esp", sorted(esps.webhooks()))
def test_an_endpoint_without_what_its_esp_proves_itself_by_is_refused(esp):
    with pytest.raises(WebhookUnusable, match="none would be believed"):
        one(esp=esp.removeprefix("main-"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"esp": "mailjet", "basic_secrets": ("",)}, "empty"),
        ({"esp": "mailjet", "basic_secrets": ("no colon",)}, "user:password"),
        ({"esp": "mailjet", "header_secrets": ("x",)}, "header"),
        ({"esp": "mailjet", "bearer_secrets": ("x",), "allow_from": ("10.0.0.0/99",)}, "allow_from"),
        ({"esp": "resend", "public_keys": ("x",)}, "signing_secrets"),
        ({"esp": "resend", "signing_secrets": ("whsec_not whole",)}, "must be whsec_ and base64"),
        ({"esp": "standard", "signing_secrets": ("whsec_",)}, "must be whsec_ and base64"),
        ({"esp": "sendgrid", "public_keys": (esps.sendgrid_key(), "MFkw")}, "no elliptic-curve key"),
    ],
)
def test_what_would_prove_nothing_is_refused(fields, said):
    with pytest.raises(WebhookUnusable, match=said):
        one(**fields)


def test_whoever_signs_without_a_library_may_share_any_text():
    assert one(esp="standard", signing_secrets=("plain words",)).secrets.webhook_secret == ("plain words",)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("203.0.113.9", True),
        ("203.0.114.9", False),
        ("::ffff:203.0.113.9", True),
        ("2001:db8::7", True),
        ("2001:db9::7", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_who_may_call(address, allowed):
    endpoint = one(esp="mailjet", bearer_secrets=("x",), allow_from=("203.0.113.0/24", "2001:db8::/32"))
    assert endpoint.may_call(address) is allowed


@pytest.mark.parametrize("name", ["Shop", "my_shop", "", "a.b", "a b", "x" * 33, "ä"])
def test_a_name_that_no_path_can_have_is_refused(name):
    with pytest.raises(WebhookUnusable, match="lower-case letters, digits and hyphens"):
        endpoints({name: Webhook(esp="mailjet", bearer_secrets=("x",))})


def test_no_secret_is_shown():
    webhook = Webhook(
        esp="mailgun", signing_secrets=("hush",), basic_secrets=("u:hush",), header="X-Own", header_secrets=("hush",)
    )
    (endpoint,) = endpoints({"shop": webhook}).values()
    for shown in (repr(webhook), repr(endpoint), repr(endpoint.secrets), f"{endpoint.secrets}"):
        assert "hush" not in shown
    assert repr(endpoint.secrets) == "Secrets(signing_key, webhook_secret, basic, headers)"


@pytest.mark.parametrize("esp", sorted(ESPS))
def test_nobody_knows_what_a_decoy_is_checked_with(esp):
    assert decoy(ESPS[esp]).secrets != decoy(ESPS[esp]).secrets


def test_a_decoy_takes_the_steps_that_a_real_endpoint_takes():
    secrets = decoy(ESPS["sendgrid"]).secrets
    assert endpoints({"shop": Webhook(esp="sendgrid", public_keys=secrets.public_key)}), (
        "it has a key that signatures are checked with"
    )
    assert credentials.standard_key(secrets.webhook_secret[0])
