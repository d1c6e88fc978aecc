"""The OpenAPI document is complete: programs can be written from it alone."""

import re

import pytest


@pytest.fixture
async def document(client):
    response = await client.get("/openapi.json")
    assert response.status_code == 200
    return response.json()


def operations(document):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


async def test_every_reference_leads_somewhere(document):
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert named
    assert named <= set(document["components"]["schemas"])


async def test_every_operation_says_what_it_answers_and_what_it_is_for(document):
    found = operations(document)
    assert len(found) == 20
    for path, method, operation in found:
        (media,) = operation["responses"]["200"]["content"].values()
        assert "$ref" in str(media["schema"]), (path, method)
        assert operation["description"].endswith((".", ")"))


async def test_every_refusal_is_a_problem_document(document):
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status != "200":
                assert list(answer["content"]) == ["application/problem+json"], (path, method, status)


async def test_every_operation_has_a_name_of_its_own(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


async def test_commands_document_the_header_they_need(document):
    parameters = document["paths"]["/api/campaigns/{id}/cancel"]["post"]["parameters"]
    assert {parameter["name"] for parameter in parameters} == {"id", "X-Jetpost-Command"}
