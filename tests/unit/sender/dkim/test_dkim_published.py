"""What DNS says of keys and of DMARC, judged."""

import pytest

from sender.dkim import published, records

KEY = records.of_key("example.com", "s1", "ed25519", b"k" * 32)
OTHER = records.of_key("example.com", "s1", "ed25519", b"x" * 32)
RSA = records.of_key("example.com", "s1", "rsa", b"k" * 32)
REVOKED = "v=DKIM1; k=ed25519; p="


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        ([KEY.text], "published", ""),
        ([KEY.text.replace("; ", " ;\t").replace("p=", "p= ")], "published", ""),
        (["k=ed25519; p=" + KEY.text.partition("p=")[2]], "published", ""),
        ([KEY.text + "; t=y:s"], "published", "t=y"),
        ([], "missing", "no such TXT record"),
        ([KEY.text, OTHER.text], "several", "2 TXT records"),
        ([KEY.text, KEY.text], "several", "2 TXT records"),
        ([OTHER.text], "differs", "another key"),
        ([RSA.text], "differs", "a key for rsa"),
        ([REVOKED], "revoked", "p= is empty"),
        (["v=DKIM2; p=AAAA"], "unreadable", "version DKIM2"),
        (["v=spf1 -all"], "unreadable", "version spf1 -all"),
        (["hello"], "unreadable", "is no tag"),
        ([KEY.text[:-3]], "unreadable", "not base64"),
    ],
)
def test_a_record_is_the_keys_or_it_is_said_what_is_wrong_with_it(found, state, said):
    finding = published.of_key(KEY, found)
    assert (finding.name, finding.state) == ("s1._domainkey.example.com", state)
    assert said in finding.said
    assert finding.is_good is (state == "published")


def test_a_policy_is_looked_for_at_the_domain_and_those_above_it():
    assert list(published.dmarc_names("a.news.example.com")) == [
        "_dmarc.a.news.example.com",
        "_dmarc.news.example.com",
        "_dmarc.example.com",
    ]
    assert list(published.dmarc_names("example.com")) == ["_dmarc.example.com"]


def test_other_texts_of_the_name_do_not_count():
    texts = ["v=DMARC1; p=none", "v = DMARC1 ;p=reject", "p=none; v=DMARC1", "v=DMARC10; p=none", "v=spf1 -all"]
    assert published.dmarc_records(texts) == texts[:2]


@pytest.mark.parametrize(
    ("found", "author", "state", "said"),
    [
        (["v=DMARC1; p=none"], "example.com", "published", "p=none"),
        (["v=DMARC1; p=Reject; adkim=s"], "example.com", "published", "p=reject"),
        (["v=DMARC1; p=none"], "news.example.com", "published", "p=none"),
        (["v=DMARC1; p=none; adkim=s"], "news.example.com", "differs", "make one for news.example.com"),
        ([], "example.com", "missing", "no DMARC record for example.com"),
        (["v=DMARC1; p=none", "v=DMARC1; p=none"], "example.com", "several", "verifiers take none"),
        (["v=DMARC1; p=monitor"], "example.com", "unreadable", "p=monitor is no policy"),
        (["v=DMARC1; rua=mailto:a@example.com"], "example.com", "unreadable", "p= is no policy"),
        (["v=DMARC1; p=none; p=none"], "example.com", "unreadable", "comes twice"),
    ],
)
def test_a_policy_is_there_or_it_is_said_what_is_wrong(found, author, state, said):
    finding = published.of_dmarc("_dmarc.example.com", found, author, "example.com")
    assert finding.state == state
    assert said in finding.said
