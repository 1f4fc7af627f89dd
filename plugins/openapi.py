"""openapi.json: a description of the JSON pages by which programs can ask them, made from what the database says of itself."""

from datasette import hookimpl
from datasette.utils import derive_named_parameters, tilde_encode
from datasette.utils.asgi import Response

from build_db import DATABASE

SHAPES = {"arrays": "rows as lists, beside their columns", "objects": "rows as objects, beside their columns", "array": "nothing but a list of objects"}
ROWS = {"type": "array", "items": {"type": ["array", "object"]}, "description": "The rows, as `_shape` says."}
COMPONENTS = {
    "schemas": {
        "Error": {"type": "object", "required": ["ok", "error", "status"], "properties": {"ok": {"const": False}, "error": {"type": "string"}, "status": {"type": "integer"}, "title": {"type": ["string", "null"]}}},
        "Rows": {
            "type": "object", "required": ["rows", "columns"],
            "properties": {"rows": ROWS, "columns": {"type": "array", "items": {"type": "string"}}, "truncated": {"type": "boolean"}, "query_ms": {"type": "number"}},
        },
        "Page": {
            "allOf": [{"$ref": "#/components/schemas/Rows"}],
            "properties": {
                "filtered_table_rows_count": {"type": ["integer", "null"], "description": "Rows of the table that pass the filters."},
                "next": {"type": ["string", "null"], "description": "What `_next` takes to go on; null on the last page."},
                "facet_results": {"type": "object", "description": "The values of the columns asked for in `_facet`, with their counts."},
            },
        },
    },
    "parameters": {
        "shape": {"name": "_shape", "in": "query", "description": "; ".join(f"{name}: {text}" for name, text in SHAPES.items()) + ".", "schema": {"enum": list(SHAPES), "default": "arrays"}},
        "size": {"name": "_size", "in": "query", "description": "How many rows.", "schema": {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "max"}]}},
        "next": {"name": "_next", "in": "query", "description": "Where to go on, as the page before said.", "schema": {"type": "string"}},
        "search": {"name": "_search", "in": "query", "description": "Words to find, in any order; three letters and more match beginnings.", "schema": {"type": "string"}},
    },
    "responses": {
        status: {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}, "text/plain": {"schema": {"type": "string"}}, "text/html": {"schema": {"type": "string"}}}}
        for status, text in (("302", "The address is written otherwise; it leads there."), ("400", "It was asked wrongly, asks too much, or took too long."), ("404", "There is no such thing."), ("414", "The address is too long."), ("503", "Others ask too much at this moment; try again later."))
    },
}


def answered(*schemas: dict) -> dict:
    """Return the responses of a page whose body is like one of the schemas."""
    body = {"application/json": {"schema": {"anyOf": list(schemas)} if len(schemas) > 1 else schemas[0]}}
    return {"200": {"description": "The rows.", "content": body}} | {status: {"$ref": f"#/components/responses/{status}"} for status in COMPONENTS["responses"]}


def parameters(*names: str) -> list[dict]:
    """Return references to the parameters that pages share."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def ref(schema: str) -> dict:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{schema}"}


def listed(row: dict) -> dict:
    """Return the schema of a list of rows."""
    return {"type": "array", "items": row}


async def description(datasette, request) -> Response:
    """Return the description, in OpenAPI 3.1."""
    home, about, database = f"/{DATABASE}", datasette.jinja_env.globals["package"](), datasette.databases[DATABASE]
    paths, schemas, stored = {}, {}, await database.table_names()
    for name, table in datasette.documented().items():
        properties = {column: {"type": [table["types"][column], "null"], "description": meaning} for column, meaning in table["columns"].items()}
        schemas[f"row_of_{name}"] = {"type": "object", "title": table["title"], "description": table["description"], "properties": properties, "additionalProperties": False}
        row = ref(f"row_of_{name}")
        filters = [{"name": column, "in": "query", "description": f"Only rows whose {column} is this. More ways to compare: {column}__gt, __lt, __startswith…", "schema": {"type": "string"}} for column in table["columns"]]
        columns = {"enum": list(table["columns"])}
        paths[f"{home}/{name}.json"] = {"get": {
            "summary": table["title"], "description": table["description"], "operationId": f"list_{name}", "responses": answered(ref("Page"), listed(row)),
            "parameters": parameters("shape", "size", "next", *["search"] * (f"{name}_fts" in stored)) + filters + [
                {"name": order, "in": "query", "description": f"Column to sort by, {way}.", "schema": columns} for order, way in (("_sort", "upwards"), ("_sort_desc", "downwards"))
            ] + [{"name": "_facet", "in": "query", "description": "Columns whose values to count.", "schema": {"type": "array", "maxItems": 4, "items": columns}}],
        }}
        key = await database.primary_keys(name)
        example = len(key) == 1 and (await database.execute(f"select [{key[0]}] from [{name}] order by 1 limit 1")).first()
        if example:
            paths[f"{home}/{name}/{{id}}.json"] = {"get": {
                "summary": f"One row of: {table['title']}", "operationId": f"read_{name}", "responses": answered(ref("Rows"), listed(row)),
                "parameters": [{"name": "id", "in": "path", "required": True, "description": "The key, in which characters other than letters, digits, - and _ are written as ~ and two hexadecimal digits.", "schema": {"type": "string", "pattern": "^([a-zA-Z0-9_-]|~[0-9A-F]{2})+$"}, "example": tilde_encode(example[0])}, *parameters("shape")],
            }}
    for name, query in (datasette.metadata("queries", database=DATABASE, fallback=False) or {}).items():
        asked = dict.fromkeys(await derive_named_parameters(database, query["sql"]))
        paths[f"{home}/{name}.json"] = {"get": {
            "summary": query["title"], "description": query["description"], "operationId": f"ask_{name}", "responses": answered(ref("Rows"), listed({"type": "object"})),
            "parameters": parameters("shape") + [{"name": parameter, "in": "query", "schema": {"type": "string"}} for parameter in asked],
        }}
    paths[f"{home}.json"] = {"get": {
        "summary": "Your own SQL", "operationId": "sql", "responses": answered(ref("Rows"), listed({"type": "object"}), {"type": "object", "required": ["tables", "queries"], "description": "Without a question: what there is."}),
        "description": "One SELECT, in the SQL of SQLite, with what it may cost bounded. Parameters such as `:name` are taken from the query string.",
        "parameters": [{"name": "sql", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1}, "example": "select type, count(*) as events from events group by type"}, *parameters("shape")],
    }}
    return Response.json({
        "openapi": "3.1.0",
        "info": {"title": about["title"], "version": about["version"], "description": "Read-only JSON. A row says only what its sources say; `citations` tells which.", "license": {"name": "CC BY 4.0", "url": about["license"]}},
        "servers": [{"url": f"{request.scheme}://{request.host}{datasette.base_url.rstrip('/')}"}],
        "paths": paths, "components": COMPONENTS | {"schemas": COMPONENTS["schemas"] | schemas},
    })


@hookimpl
def register_routes():
    return [(r"^/openapi\.json$", description)]
