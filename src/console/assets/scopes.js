/**
 * Scopes: what they open, and a picker made from the server's catalogue.
 *
 * @module
 */

import { get } from "./api.js";
import { Form, field } from "./form.js";
import { html, nothing } from "./lit-html.js";
import { update } from "./render.js";
import { matches, searchField } from "./search.js";
import { strings } from "./strings.js";

const t = strings.scopes;

/** @typedef {import("./keys.js").Scope} Scope */
/** @typedef {Scope & {operation: string, method: string, path: string, description: string, admits: string}} Description */

/** The catalogue of the scopes that the user can use. @param {boolean} isAdministrator @returns {Promise<Description[]>} */
export async function catalogue(isAdministrator) {
  const { scopes } = await get("scopes");
  return scopes.filter((/** @type {Description} */ { admits }) => isAdministrator || admits !== "administrator");
}

/** @param {Scope} scope */
export const scopeName = ({ controller, action }) => `${controller} / ${action}`;
/** @param {Scope} scope @param {Scope} other */
export const covers = (scope, other) =>
  (scope.controller === "*" || scope.controller === other.controller) && (scope.action === "*" || scope.action === other.action);
/** @param {string} text @returns {Scope | null} */
export function parseScope(text) {
  const parts = /^\s*([a-z][a-z0-9_]{0,63}|\*)\s*\/\s*([a-z][a-z0-9_]{0,63}|\*)\s*$/.exec(text);
  return parts ? { controller: parts[1], action: parts[2] } : null;
}

/** What a key with these scopes can do, in words. @param {Scope[]} scopes @param {Description[]} all */
export function abilities(scopes, all) {
  if (scopes.length === 0) return html`<p class="quiet">${t.nothing}</p>`;
  if (scopes.some(({ controller, action }) => controller === "*" && action === "*")) return html`<p>${t.everything}</p>`;
  const opened = all.filter((known) => scopes.some((scope) => covers(scope, known)));
  const foreign = scopes.filter((scope) => !all.some((known) => covers(scope, known)));
  return html`
    <ul class="abilities">
      ${opened.map(({ description, method, path }) => html`<li>${description} <code class="quiet">${method} ${path}</code></li>`)}
      ${foreign.map((scope) => html`<li>${t.foreign} <code>${scopeName(scope)}</code></li>`)}
    </ul>
  `;
}

/** Picks scopes: by controller and action, by a preset, or written for another service. */
export class ScopePicker {
  /**
   * @param {Description[]} all
   * @param {Scope[]} picked
   */
  constructor(all, picked) {
    this.all = all;
    /** @type {Map<string, Scope>} */
    this.picked = new Map(picked.map((scope) => [scopeName(scope), scope]));
    this.search = "";
    this.form = new Form();
    /** @type {Map<string, Map<string, Description[]>>} */
    this.controllers = new Map();
    for (const known of all) {
      const actions = this.controllers.get(known.controller) ?? new Map();
      actions.set(known.action, [...(actions.get(known.action) ?? []), known]);
      this.controllers.set(known.controller, actions);
    }
  }

  /** @returns {Scope[]} */
  scopes() {
    return [...this.picked.values()];
  }

  /** @param {Scope[]} scopes */
  pick(scopes) {
    this.picked = new Map(scopes.map((scope) => [scopeName(scope), scope]));
    update();
  }

  /** @param {Scope} scope @param {boolean} isPicked */
  toggle(scope, isPicked) {
    if (isPicked) this.picked.set(scopeName(scope), scope);
    else this.picked.delete(scopeName(scope));
    update();
  }

  view() {
    return html`
      <fieldset class="scopes">
        <legend>${t.title}</legend>
        ${this.presets()}
        ${searchField(t.search, this.search, (search) => {
          this.search = search;
          update();
        })}
        <div class="controllers">${[...this.controllers].map(([controller, actions]) => this.controllerView(controller, actions))}</div>
        ${this.foreignField()}
      </fieldset>
      <section class="panel" aria-live="polite" aria-labelledby="abilities">
        <h2 id="abilities">${t.abilities}</h2>
        ${abilities(this.scopes(), this.all)}
      </section>
    `;
  }

  presets() {
    const unique = (/** @type {Description[]} */ known) => [...new Map(known.map(({ controller, action }) => [`${controller}/${action}`, { controller, action }])).values()];
    const reading = unique(this.all.filter((known) => this.all.every((other) => !covers(known, other) || other.method === "GET")));
    const metrics = unique(this.all.filter(({ controller }) => controller === "metrics" || controller === "status"));
    const everything = [{ controller: "*", action: "*" }];
    const buttons = [[t.presets.reading, reading], [t.presets.metrics, metrics], [t.presets.everything, everything], [t.presets.none, []]];
    return html`<p class="chips" role="group" aria-label=${t.presets.title}>
      ${buttons.map(([label, scopes]) => html`<button type="button" class="chip" ?hidden=${label !== t.presets.none && scopes.length === 0} @click=${() => this.pick(/** @type {Scope[]} */ (scopes))}>${label}</button>`)}
    </p>`;
  }

  /** @param {string} controller @param {Map<string, Description[]>} actions */
  controllerView(controller, actions) {
    const isFound = (/** @type {string} */ action, /** @type {Description[]} */ known) =>
      matches(`${controller} / ${action} ${known.map(({ description }) => description).join(" ")}`, this.search);
    const found = [...actions].filter(([action, known]) => isFound(action, known));
    if (found.length === 0) return nothing;
    const picked = [...actions.keys()].filter((action) => this.scopes().some((scope) => covers(scope, { controller, action })));
    return html`
      <details ?open=${this.search !== ""}>
        <summary>${t.controller(controller)} <span class=${picked.length > 0 ? "badge" : "quiet"}>${t.picked(picked.length, actions.size)}</span></summary>
        ${this.search === "" ? this.box({ controller, action: "*" }, t.allOf, true) : nothing}
        ${found.map(([action, known]) => this.box({ controller, action }, known.map(({ description }) => description).join(" "), false))}
      </details>
    `;
  }

  /** @param {Scope} scope @param {string} text @param {boolean} isWhole */
  box(scope, text, isWhole) {
    const isCovered = this.scopes().some((other) => covers(other, scope) && scopeName(other) !== scopeName(scope));
    const toggle = (/** @type {Event} */ event) => this.toggle(scope, /** @type {HTMLInputElement} */ (event.target).checked);
    return html`
      <label class=${isWhole ? "whole" : ""}>
        <input type="checkbox" name="scope" value=${scopeName(scope)} .checked=${isCovered || this.picked.has(scopeName(scope))} ?disabled=${isCovered} @change=${toggle}>
        <span><code>${scopeName(scope)}</code> ${text}</span>
      </label>
    `;
  }

  foreignField() {
    const foreign = this.scopes().filter((scope) => !this.all.some((known) => covers(scope, known)));
    const add = (/** @type {Event} */ event) => {
      const input = /** @type {HTMLInputElement} */ (/** @type {Element} */ (event.target).closest(".input")?.querySelector("input"));
      const scope = parseScope(input.value);
      this.form.errors = scope ? {} : { foreign: [t.malformed] };
      if (scope) {
        input.value = "";
        this.toggle(scope, true);
      }
      update();
    };
    const enter = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
      event.preventDefault();
      add(event);
    };
    return html`
      ${foreign.map((scope) => this.box(scope, t.foreign, false))}
      <div @keydown=${enter}>
        ${field(this.form, { name: "foreign", label: t.other, hint: t.otherHint, placeholder: "files / index", after: html`<button type="button" @click=${add}>${t.add}</button>` })}
      </div>
    `;
  }
}
