from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from scheduler.api.placing import placed

router = APIRouter(prefix="/things", tags=["things"])


@router.get("/{number}")
async def get_thing(number: int) -> list[int]:
    return [number]


def test_a_route_answers_below_its_prefix_and_nowhere_else() -> None:
    [route] = placed(router.routes, "/a")
    assert isinstance(route, APIRoute)
    assert (route.path, route.path_format) == ("/a/things/{number}", "/a/things/{number}")
    assert route.path_regex.match("/a/things/7")
    assert not route.path_regex.match("/things/7")


def test_the_router_keeps_its_own() -> None:
    placed(router.routes, "/a", include_in_schema=False)
    [own] = router.routes
    assert isinstance(own, APIRoute)
    assert (own.path, own.include_in_schema) == ("/things/{number}", True)


def test_an_operation_is_called_as_its_function() -> None:
    app = FastAPI()
    app.router.routes.extend(placed(router.routes, "/a"))
    told = app.openapi()["paths"]["/a/things/{number}"]["get"]
    assert told["operationId"] == "get_thing"
    schema = told["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["title"] == "Response Get Thing"
