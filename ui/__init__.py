"""The dashboard: pages made on the server over the same services as the API.

A screen is one module in `ui/pages` and one template of the same name:

* its functions are routes of `router = APIRouter(route_class=Screen)`, named `ui_…`; each name has
  a line in `ui/access.py`, or the server refuses to start;
* it gathers what it shows with a bounded number of statements on one connection, and hands it to
  `frame.page(request, conn, "name.html", …)`;
* a form is a POST with `{{ form_token() }}` in it. `request.state.form` holds what was sent, known
  to come from a page of ours; the function calls one service and answers with `frame.see(…)`;
* what changes while somebody looks is in an element with an id and `data-live`: the script asks for
  the page anew when the server says so, and puts such elements in place of the old ones.

Text is escaped by the templates; pictures are made by `ui/drawing` of elements, never of strings.
"""
