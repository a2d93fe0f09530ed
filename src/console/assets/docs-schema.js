/**
 * Schemas of the OpenAPI document: as a list of members, and as an example.
 *
 * @module
 */

import { html, nothing } from "./lit-html.js";
import { strings } from "./strings.js";
import { marked } from "./text.js";

const t = strings.docs;
const MAX_DEPTH = 6;

/** @typedef {{$ref?: string, type?: string, format?: string, enum?: string[], description?: string, properties?: Record<string, Schema>,
 *    required?: string[], items?: Schema, allOf?: Schema[], anyOf?: Schema[], readOnly?: boolean, minimum?: number, maximum?: number,
 *    additionalProperties?: Schema | boolean, example?: any, default?: any, title?: string}} Schema */

/**
 * A schema with the ones that it refers to and consists of merged into it.
 *
 * @param {Schema} schema
 * @param {any} root the document
 * @returns {Schema}
 */
export function whole(schema, root) {
  if (schema.$ref) {
    const { $ref, ...own } = schema;
    const target = $ref.slice(2).split("/").reduce((place, name) => place?.[name], root);
    return { ...whole(target ?? {}, root), ...own };
  }
  const parts = schema.allOf?.map((part) => whole(part, root)) ?? [];
  if (parts.length === 0) return schema;
  const { allOf, ...own } = schema;
  const properties = Object.assign({}, ...parts.map((part) => part.properties), own.properties);
  return { ...Object.assign({}, ...parts), ...own, properties };
}

/** @param {Schema} schema @param {any} root @returns {string} */
export function typeOf(schema, root) {
  const { type = "any", format, enum: values, items, minimum, maximum } = whole(schema, root);
  if (values) return values.map((value) => JSON.stringify(value)).join(" | ");
  if (type === "array") return t.listOf(typeOf(items ?? {}, root));
  const bounds = minimum === undefined && maximum === undefined ? "" : ` ${minimum ?? ""}…${maximum ?? ""}`;
  return `${format ? `${type} (${format})` : type}${bounds}`;
}

/**
 * @param {Schema} schema
 * @param {any} root
 * @param {number} [depth]
 * @returns {unknown}
 */
export function schemaView(schema, root, depth = 0) {
  const merged = whole(schema, root);
  if (merged.type === "array" && merged.items) return schemaView(merged.items, root, depth);
  const members = Object.entries(merged.properties ?? {});
  if (members.length === 0 || depth > MAX_DEPTH) return nothing;
  return html`
    <ul class="members">
      ${members.map(([name, member]) => {
        const { description, readOnly } = whole(member, root);
        return html`<li><code>${name}</code> <span class="quiet">${typeOf(member, root)}${readOnly ? ` · ${t.readOnly}` : ""}</span>
          ${description ? html`<p>${marked(description)}</p>` : nothing}${schemaView(member, root, depth + 1)}</li>`;
      })}
    </ul>
  `;
}

/**
 * An example of what a request may send: without the members that are read only.
 *
 * @param {Schema} schema
 * @param {any} root
 * @param {string} [name]
 * @param {number} [depth]
 * @returns {any}
 */
export function example(schema, root, name = "", depth = 0) {
  const merged = whole(schema, root);
  if (merged.example !== undefined) return merged.example;
  if (merged.enum) return merged.enum[0];
  if (merged.properties && depth <= MAX_DEPTH) {
    const members = Object.entries(merged.properties).filter(([, member]) => !whole(member, root).readOnly);
    return Object.fromEntries(members.map(([member, schema]) => [member, example(schema, root, member, depth + 1)]));
  }
  if (merged.type === "array") return depth > MAX_DEPTH ? [] : [example(merged.items ?? {}, root, name, depth + 1)];
  if (merged.type === "integer" || merged.type === "number") return merged.minimum ?? 0;
  if (merged.type === "boolean") return false;
  return exampleText(name, merged.format);
}

/** @param {string} name @param {string} [format] */
function exampleText(name, format) {
  if (format === "date-time") return new Date(Date.now() + 90 * 86_400_000).toISOString();
  const texts = /** @type {Record<string, string>} */ ({ email: "ann@example.org", username: "ann", password: "a house with a view", allowed_networks: "192.0.2.0/24", controller: "users", action: "index" });
  return texts[name] ?? name;
}
