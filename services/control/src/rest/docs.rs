//! The documentation page: the OpenAPI document as plain HTML, without scripts or anything from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

/// One page with every operation.
pub(crate) fn page(document: &Value) -> String {
    let mut operations = String::new();
    let paths = document["paths"].as_object();
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            write_operation(&mut operations, path, method, operation);
        }
    }
    let mut schemas = String::new();
    let all = document["components"]["schemas"].as_object();
    for (name, schema) in all.into_iter().flatten() {
        let pretty = serde_json::to_string_pretty(schema).unwrap_or_default();
        let name = escape(name);
        let _ = write!(
            schemas,
            "<details id=\"schema-{name}\"><summary><code>{name}</code></summary><pre>{}</pre></details>",
            escape(&pretty)
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Updraft API</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><main>\
         <h1>Updraft API</h1><p>{}</p><p>Base address: <code>/api/v1</code>. The same as a document: \
         <a href=\"openapi.json\">openapi.json</a>.</p><h2>Operations</h2>{operations}<h2>Schemas</h2>{schemas}\
         </main></body></html>",
        escape(text(&document["info"]["description"]))
    )
}

/// For the page's Content-Security-Policy; the style is inline, so that the page is one file.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const STYLE: &str = ":root{color-scheme:light dark}body{font:14px/20px system-ui,sans-serif;margin:0}\
main{max-width:60rem;margin:0 auto;padding:24px}section{border-top:1px solid #8884;padding:12px 0}\
h3{margin:0;font:600 14px/20px ui-monospace,monospace}p{margin:4px 0}table{border-collapse:collapse;margin:8px 0}\
td,th{text-align:left;padding:2px 16px 2px 0;vertical-align:top}pre{overflow:auto;padding:12px;border:1px solid #8884;\
border-radius:8px}code{font-family:ui-monospace,monospace}";

fn write_operation(out: &mut String, path: &str, method: &str, operation: &Value) {
    let id = escape(text(&operation["operationId"]));
    let _ = write!(
        out,
        "<section id=\"{id}\"><h3>{} {}</h3><p>{}</p>",
        escape(&method.to_uppercase()),
        escape(path),
        escape(text(&operation["summary"]))
    );
    if let Some(description) = operation["description"].as_str() {
        let _ = write!(out, "<p>{}</p>", escape(description));
    }
    let mut rows = String::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let required = if parameter["required"] == Value::Bool(true) {
            "required"
        } else {
            "optional"
        };
        let _ = write!(
            rows,
            "<tr><td><code>{}</code><td>in {}, {required}<td>{}</tr>",
            escape(text(&parameter["name"])),
            escape(text(&parameter["in"])),
            escape(text(&parameter["description"]))
        );
    }
    if let Some(name) = schema_name(&operation["requestBody"]["content"]) {
        let _ = write!(rows, "<tr><td>body<td>{}<td></tr>", schema_link(&name));
    }
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let schema = schema_name(&answer["content"])
            .map(|name| schema_link(&name))
            .unwrap_or_default();
        let described = escape(text(&answer["description"]));
        let _ = write!(rows, "<tr><td>{}<td>{schema}<td>{described}</tr>", escape(status));
    }
    let _ = write!(out, "<table>{rows}</table></section>");
}

fn schema_name(content: &Value) -> Option<String> {
    let media = content.as_object()?.values().next()?;
    let reference = media["schema"]["$ref"].as_str()?;
    reference.rsplit('/').next().map(str::to_owned)
}

fn schema_link(name: &str) -> String {
    let name = escape(name);
    format!("<a href=\"#schema-{name}\"><code>{name}</code></a>")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    #[test]
    fn every_operation_is_on_the_page_and_nothing_breaks_out_of_it() {
        let document = json!({
            "info": {"description": "<b>"},
            "paths": {"/things/{id}": {"get": {"operationId": "show", "summary": "Shows \"it\"", "responses": {}}}},
        });
        let page = page(&document);
        assert!(page.contains("GET /things/{id}"));
        assert!(page.contains("Shows &quot;it&quot;"));
        assert!(!page.contains("<b>"));
        assert!(!page.contains("http"), "nothing from elsewhere");
    }
}
