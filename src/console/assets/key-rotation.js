/**
 * Gives an API key a new value, while the old one stays valid for a while.
 *
 * @module
 */

import { announce } from "./announcements.js";
import { destroy, send } from "./api.js";
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
  /** @param {string} path of the key @param {() => Promise<void>} reload loads the key again */
  constructor(path, reload) {
    this.path = path;
    this.reload = reload;
    this.form = new Form();
    /** The two values, as long as the page is open: the old one is shown nowhere else. @type {{old: string, current: string} | null} */
    this.values = null;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
  }

  /** @param {ApiKey} apiKey */
  view(apiKey) {
    const ends = Date.parse(apiKey.former_value_expires_at ?? "");
    return html`
      <section aria-labelledby="rotation">
        <h2 id="rotation">${t.title}</h2>
        ${this.values || ends > Date.now() ? this.valuesView(this.values, ends) : nothing}
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
    await this.reload();
    this.values = { old, current: body.key };
    update();
  }

  /** @param {typeof this.values} values @param {number} ends when the old value ends, not a number where it has ended */
  valuesView(values, ends) {
    const secs = Math.ceil((ends - Date.now()) / 1000);
    if (secs > 0) this.tick();
    return html`
      <div class="panel success">
        ${values ? html`<h3>${t.newValue}</h3><div class="large">${copyable(values.current)}</div>` : nothing}
        <h3>${t.oldValue}</h3>
        ${values ? copyable(values.old) : nothing}
        <p>${secs > 0 ? t.left(duration(secs)) : t.over}</p>
        ${secs > 0 ? html`<p class="actions"><button type="button" @click=${() => this.confirmEnd()}>${t.endNow}</button></p>` : nothing}
      </div>
    `;
  }

  /** Counts the old value's time down, until the page is left. */
  tick() {
    this.timer ??= setInterval(update, 1000);
  }

  leave() {
    clearInterval(this.timer);
  }

  confirmEnd() {
    confirmAction({
      title: t.endTitle,
      text: html`<p>${t.endText}</p>`,
      action: t.endNow,
      run: async () => {
        await destroy(`${this.path}/former_value`);
        announce(t.ended);
        await this.reload();
      },
    });
  }
}

/** @param {number} secs */
function duration(secs) {
  const parts = [Math.floor(secs / 3600), Math.floor(secs / 60) % 60, secs % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}
