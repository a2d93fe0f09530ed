//! Derives the schemas of the OpenAPI document from views and inputs.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, transform::RecursiveTransform};

/// A generator of OpenAPI 3.0 schemas for serialized types.
pub(super) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::openapi3().for_serialize();
    settings.with_transform(RecursiveTransform(plain_integer)).into()
}

/// Makes all members optional: a body has some of a record's members, and a response omits those without a value.
pub(super) fn all_optional(schema: &mut Schema) {
    schema.remove("required");
}

/// Removes the format of unsigned integers, which OpenAPI does not have.
fn plain_integer(schema: &mut Schema) {
    if schema.get("type").is_some_and(|kind| kind == "integer") {
        schema.remove("format");
        schema.remove("minimum");
    }
}
