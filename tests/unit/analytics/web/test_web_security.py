"""Who may ask, and from where."""

import re

import pytest

from analytics.web import security
from analytics.web.settings import WebSettings

PAUSE = "/api/campaigns/spring-launch/pause"


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3", "mail.example.com"])
async def test_own_names_and_addresses_are_answered(host):
    hosts = security.own_hosts(WebSettings(public_url="https://mail.example.com"))
    assert security.is_own_host(host, hosts)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "a@b:c"])
async def test_names_that_a_foreign_page_could_point_at_us_are_refused(host):
    assert not security.is_own_host(host, security.own_hosts(WebSettings()))


async def test_a_foreign_host_gets_a_problem_that_names_the_setting(client):
    response = await client.get("/api/campaigns", headers={"Host": "evil.example"})
    assert response.status_code == 421
    assert "public_url" in response.json()["detail"]


async def test_probes_answer_under_any_name(client):
    assert (await client.get("/healthz", headers={"Host": "pod-7.cluster"})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Jetpost-Command": "1", "Sec-Fetch-Site": "cross-site"}, {"Content-Type": "text/plain"}],
)
async def test_commands_that_a_foreign_page_could_send_are_refused(client, headers):
    assert (await client.post(PAUSE, headers=headers)).status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/campaigns", "/api/nowhere", "/static/nothing.js", "/healthz"])
async def test_every_answer_carries_the_security_headers(client, path):
    response = await client.get(path)
    assert response.headers["content-security-policy"] == security.CONTENT_SECURITY_POLICY
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_page_has_nothing_inline_that_the_policy_would_forbid(client):
    page = (await client.get("/campaigns/spring-launch")).text
    assert "unsafe" not in security.CONTENT_SECURITY_POLICY
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", page)


class TestWithAToken:
    @pytest.fixture
    def settings(self):
        return WebSettings(api_token="s3cret")

    async def test_the_api_asks_for_it(self, client):
        response = await client.get("/api/campaigns")
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("value", ["Bearer s3cret", "bearer s3cret"])
    async def test_a_bearer_is_let_through_and_may_command(self, client, value):
        assert (await client.post(PAUSE, headers={"Authorization": value})).status_code == 200

    @pytest.mark.parametrize("value", ["Bearer wrong", "Bearer ", "Basic s3cret", "Bearer s3crét"])
    async def test_another_token_is_not(self, client, value):
        response = await client.get("/api/campaigns", headers={"Authorization": value.encode("latin-1")})
        assert response.status_code == 401

    async def test_signing_in_gives_a_cookie_that_scripts_cannot_read(self, client):
        command = {security.COMMAND_HEADER: "1"}
        response = await client.post("/api/session", json={"token": "s3cret"}, headers=command)
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "s3cret" not in cookie
        assert (await client.get("/api/campaigns")).status_code == 200

    async def test_signing_in_with_another_token_fails(self, client):
        response = await client.post("/api/session", json={"token": "guess"}, headers={security.COMMAND_HEADER: "1"})
        assert response.status_code == 401

    async def test_the_token_is_not_in_the_settings_as_they_are_shown(self, settings):
        assert "s3cret" not in repr(settings)


async def test_without_a_token_nobody_can_sign_in(client):
    response = await client.post("/api/session", json={"token": ""}, headers={security.COMMAND_HEADER: "1"})
    assert response.status_code == 401
