/**
 * Gives an API key a new value, while the old one stays valid for a while.
 *
 * @module
 */

import { send } from "./api.js";
import { copyable } from "./copy.js";
import { confirmAction } from "./dialog.js";
import { Form, errorSummary, field, submitButton } from "./form.js";
import { html, nothing } from "./lit-html.js";
import { update } from "./render.js";
import { strings } from "./strings.js";

const t = strings.rotation;
const OVERLAPS = ["0", "3600", "86400", "604800"];

/** @typedef {import("./keys.js").ApiKey} ApiKey */

export class Rotation {
  /** @param {string} path of the key @param {() => void} rotated */
  constructor(path, rotated) {
    this.path = path;
    this.rotated = rotated;
    this.form = new Form();
    /** @type {{old: string, current: string, ends: number} | null} */
    this.values = null;
  }

  /** @param {ApiKey} apiKey */
  view(apiKey) {
    return html`
      <section aria-labelledby="rotation">
        <h2 id="rotation">${t.title}</h2>
        ${this.values ? this.valuesView(this.values) : nothing}
        <p>${t.text}</p>
        <form @submit=${(/** @type {SubmitEvent} */ event) => this.form.submit(event, ({ overlap }) => this.rotate(apiKey.key, Number(overlap)))} novalidate>
          ${errorSummary(this.form, ["overlap"])}
          ${field(this.form, { name: "overlap", label: t.overlap, value: "3600", options: OVERLAPS.map((secs) => [secs, t.overlaps[secs]]) })}
          <p class="actions">${submitButton(this.form, t.action)}</p>
        </form>
      </section>
    `;
  }

  /** @param {string} old @param {number} overlap in seconds */
  async rotate(old, overlap) {
    const { body } = await send("POST", `${this.path}/rotate`, { body: { overlap } });
    this.values = { old, current: body.key, ends: Date.now() + overlap * 1000 };
    this.tick();
    this.rotated();
  }

  /** Counts the old value's time down. */
  tick() {
    const timer = setInterval(() => {
      if (!this.values || this.values.ends <= Date.now()) clearInterval(timer);
      update();
    }, 1000);
  }

  /** @param {{old: string, current: string, ends: number}} values */
  valuesView({ old, current, ends }) {
    const secs = Math.max(0, Math.ceil((ends - Date.now()) / 1000));
    return html`
      <div class="panel success">
        <h3>${t.newValue}</h3>
        <div class="large">${copyable(current)}</div>
        <h3>${t.oldValue}</h3>
        ${copyable(old)}
        <p>${secs > 0 ? t.left(duration(secs)) : t.over}</p>
        ${secs > 0 ? html`<p class="actions"><button type="button" @click=${() => this.confirmEnd(current)}>${t.endNow}</button></p>` : nothing}
      </div>
    `;
  }

  /** The API ends an old value only by another rotation, which gives a new value again. @param {string} current */
  confirmEnd(current) {
    confirmAction({
      title: t.endTitle,
      text: html`<p>${t.endText}</p>`,
      action: t.endNow,
      run: () => this.rotate(current, 0),
    });
  }
}

/** @param {number} secs */
function duration(secs) {
  const parts = [Math.floor(secs / 3600), Math.floor(secs / 60) % 60, secs % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}
