//! How the schemas of the OpenAPI document are derived from views and inputs.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, transform::RecursiveTransform};

/// A generator of OpenAPI 3.0 schemas of what the server sends.
pub(super) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::openapi3().for_serialize();
    settings.with_transform(RecursiveTransform(plain_integer)).into()
}

/// Makes no member required: a body has some of a record's members, a response those that have a value.
pub(super) fn all_optional(schema: &mut Schema) {
    schema.remove("required");
}

/// Leaves out an integer's size in memory, which is no format of OpenAPI.
fn plain_integer(schema: &mut Schema) {
    if schema.get("type").is_some_and(|kind| kind == "integer") {
        schema.remove("format");
        schema.remove("minimum");
    }
}
