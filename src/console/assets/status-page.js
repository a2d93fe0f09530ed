/**
 * The state of the server, with what is wrong where it runs and what to do.
 *
 * @module
 */

import { get } from "./api.js";
import { html } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { strings } from "./strings.js";
import { count, marked, relative, size, time } from "./text.js";

const t = strings.status;

/** @typedef {{severity: "note" | "warning" | "error", check: string, problem: string, advice: string}} Finding */
/** @typedef {{version: string, addresses: string[], started_at?: string, uptime_secs: number, records: {users: number,
 *    configurations: number, api_keys: number, sessions: number}, last_backup?: {at: string, succeeded: boolean}, locks: number,
 *    store_bytes: number, findings: Finding[]}} Status */

/** @returns {import("./frame.js").Page} */
export function statusPage() {
  /** @type {Loaded<Status>} */
  const status = new Loaded(() => get("status"));
  return {
    title: () => t.title,
    view: () => html`
      ${status.view(statusView)}
      <p class="actions"><button type="button" @click=${() => status.reload()}>${strings.refresh}</button></p>
    `,
  };
}

/** @param {Status} status */
function statusView(status) {
  const { records } = status;
  return html`
    <section aria-labelledby="findings">
      <h2 id="findings">${t.findings}</h2>
      ${status.findings.length === 0 ? html`<p class="panel success">${t.healthy}</p>` : status.findings.map(findingView)}
    </section>
    <section aria-labelledby="facts">
      <h2 id="facts">${t.facts}</h2>
      <dl class="facts">
        <dt>${t.version}</dt><dd>${status.version}</dd>
        <dt>${t.addresses}</dt><dd>${status.addresses.join(", ")}</dd>
        <dt>${t.started}</dt><dd>${status.started_at ? time(status.started_at) : relative(-status.uptime_secs)}</dd>
        <dt>${t.backup}</dt><dd>${backupView(status.last_backup)}</dd>
        <dt>${t.store}</dt><dd>${size(status.store_bytes)}</dd>
        <dt>${t.locks}</dt><dd>${count(status.locks)}</dd>
      </dl>
    </section>
    <section aria-labelledby="records">
      <h2 id="records">${t.records}</h2>
      <ul class="tiles">
        ${Object.entries(records).map(([kind, number]) => html`<li><strong>${count(number)}</strong> ${t.kinds[/** @type {keyof typeof records} */ (kind)]}</li>`)}
      </ul>
    </section>
  `;
}

/** @param {Status["last_backup"]} backup */
function backupView(backup) {
  if (!backup) return html`<span class="quiet">${t.noBackup}</span>`;
  return html`${time(backup.at)} <span class=${backup.succeeded ? "badge" : "badge danger"}>${backup.succeeded ? t.succeeded : t.failed}</span>`;
}

/** @param {Finding} finding */
function findingView({ severity, check, problem, advice }) {
  return html`
    <div class="panel ${severity === "error" ? "failure" : severity === "warning" ? "warning" : ""}">
      <p><span class=${severity === "note" ? "badge" : "badge danger"}>${t.severities[severity]}</span> <strong>${check}</strong></p>
      <p>${marked(problem)}</p>
      <p><strong>${t.advice}</strong> ${marked(advice)}</p>
    </div>
  `;
}
