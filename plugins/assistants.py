"""Where datasette-mcp is installed, assistants ask the site by the Model Context Protocol at /-/mcp, within the guard's limits."""

from datasette import hookimpl

SERVERS = {}  # Datasette → its MCP server


@hookimpl(trylast=True)
def register_mcp_tools(datasette, mcp):
    """Offer nothing that writes."""
    SERVERS[datasette] = mcp
    if (datasette.plugin_config("datasette-mcp") or {}).get("canned_queries"):
        mcp.remove_tool("execute_writable_canned_query")


@hookimpl
def startup(datasette):
    """Keep nothing of a visitor between two requests: sessions would fill the memory, and be unknown to the other workers."""
    if datasette in SERVERS:
        SERVERS[datasette].session_manager.stateless = True
