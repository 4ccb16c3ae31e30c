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

What screens share:

* `ui/templates/parts.html`, imported with context. Words: `badge(state)`, `when(moment)`,
  `since(moment)`, `run_link(id)`, `of_what(run)`, `labels(run.labels)`, `long(text, 120)`. Pages:
  `tabs([(text, href, is_here)], label)`, `facts([(name, value)])`, `progress(done, total, late=…,
  left=…)`, `refusal(fault)`, `nothing(text, href, what)`. Actions: `action(path, text, obstacle)`
  is one button, grey with its reason where there is an obstacle; `{% call dialog(id, text, path,
  button) %}` a form that opens below its button; `{% call confirm(path, button, back, ids=…) %}` a
  page that shows exactly what it will do. Rows that can be chosen have `tick(id, what)`, and the
  form around them ends with `bulk([(action, text)])`.
* `ui/lists.py`: a list says once what may be filtered and shown (`Listing` of `Field` and
  `Column`); `asked = LIST.read(request)` then tells what this address asks: `asked.is_untidy` and
  `asked.tidied()`, `asked.text(name)`, `among`, `moment`, `number`, `label()`, `run_cursor()`. The
  template has `filters(asked)`, `chips(asked)`, `thead(asked.columns)`, `pages(next, asked=asked)`
  with `next=asked.next(cursor)`, `exports(asked)` and `columns(asked)`. `if asked.format: return
  await lists.exported(asked, "runs", CELLS, read)` sends the whole list as CSV or JSON, where
  `read(conn, cursor)` gives a page of rows and the next cursor. `ui/pages/runs.py` is the example.
* `ui/ways.py`: the table that says each list and action for a terminal; `as_("ui_runs",
  asked=asked)`, or `as_("ui_run_command:hold", run=run.id)`, or `as_all([(what, name, values,
  body)])` on a page with several. A form whose route has no line there fails a test, unless its
  name ends with `_confirm`, `_preview` or `_check`.

Text is escaped by the templates; pictures are made by `ui/drawing` of elements, never of strings.
"""
