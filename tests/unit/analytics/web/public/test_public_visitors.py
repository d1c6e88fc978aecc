import pytest

from analytics.web.public import visitors

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"


def open_by(agent, accept="*/*", **headers):
    return visitors.of_open("GET", {"user-agent": agent, "accept": accept, **headers})


@pytest.mark.parametrize(
    ("agent", "accept", "machine"),
    [
        ("Mozilla/5.0", "*/*", "apple-mpp"),
        (MAC, "*/*", "apple-mpp"),
        (MAC, "image/webp,image/*", ""),
        (f"{MAC} Version/18.0 Safari/605.1.15", "*/*", ""),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            "*/*",
            "",
        ),
        (CHROME, "image/*", ""),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135"
            " Safari/537.36 Edge/12.246 Mozilla/5.0",
            "*/*",
            "gmail-prefetch",
        ),
        (
            "Mozilla/4.0 (compatible; ms-office; MSOffice 16) Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0)",
            "*/*",
            "",
        ),
        (
            "Mozilla/5.0 (Linux; Android 11; CUBOT X50) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36",
            "*/*",
            "",
        ),
        ("Barracuda Sentinel (EE)", "*/*", "scanner"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "*/*", "scanner"),
        ("python-requests/2.32", "*/*", "scanner"),
        ("", "*/*", "no-agent"),
    ],
)
def test_who_fetches_a_picture(agent, accept, machine):
    assert open_by(agent, accept).machine == machine


def test_proxies_fetch_when_a_person_looks():
    google = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
    assert open_by(google) == ("", "google-proxy")
    assert open_by("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html") == ("", "yahoo-proxy")


def test_who_asks_for_the_head_only_or_ahead_of_time_is_no_reader():
    assert visitors.of_click("HEAD", {"user-agent": CHROME}).machine == "head"
    assert visitors.of_click("GET", {"user-agent": CHROME, "sec-purpose": "prefetch;prerender"}).machine == "prefetch"
    assert visitors.of_click("GET", {"user-agent": CHROME}).machine == ""
