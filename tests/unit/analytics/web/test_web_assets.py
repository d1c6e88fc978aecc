"""The dashboard's files, as a browser gets them."""

import re

from analytics.web import assets


async def test_every_file_that_the_page_names_is_served_for_ever(client):
    page = (await client.get("/")).text
    named = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(named) >= 4
    for path in named:
        response = await client.get(path)
        assert response.status_code == 200, path
        assert "immutable" in response.headers["cache-control"]


async def test_every_module_imports_files_that_exist():
    files = assets.load().files
    scripts = {name: asset.plain.decode() for name, asset in files.items() if name.endswith(".js") and "/" not in name}
    imported = {name for text in scripts.values() for name in re.findall(r'from "\./([\w.]+)"', text)}
    assert "charts.js" in imported
    assert imported <= set(files)


async def test_chart_js_comes_from_its_distribution(client):
    response = await client.get("/static/vendor/chart.js")
    assert "Chart.js v4" in response.text[:200]
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["content-encoding"] == "gzip"


async def test_a_browser_that_cannot_unpack_gets_files_as_they_are(client):
    response = await client.get("/static/main.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in response.headers
    assert "EventSource" not in response.text


async def test_files_of_another_release_are_not_found(client):
    assert (await client.get("/static/0123456789ab/main.js")).status_code == 404


async def test_nothing_outside_the_folder_is_served(client):
    assert (await client.get("/static/..%2fapp.py")).status_code == 404
