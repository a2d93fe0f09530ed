/**
 * The sessions of a user.
 *
 * @module
 */

import { announce } from "./announcements.js";
import { all, destroy, path } from "./api.js";
import { confirmAction } from "./dialog.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { strings } from "./strings.js";
import { shown, time } from "./text.js";

const t = strings.sessions;

/** @typedef {{id: string, created_at?: string, address?: string, last_seen_at?: string, expires_at: string, current: boolean}} Session */

export class Sessions {
  /** @param {import("./owner.js").Owner} owner */
  constructor(owner) {
    this.owner = owner;
    /** @type {Loaded<Session[]>} */
    this.list = new Loaded(() => all(`${owner.path}/sessions`, "sessions"));
  }

  view() {
    return html`
      <section aria-labelledby="sessions">
        <h2 id="sessions">${t.title}</h2>
        ${this.list.view((list) => this.listView(list))}
      </section>
    `;
  }

  /** @param {Session[]} list */
  listView(list) {
    if (list.length === 0) return html`<p class="empty">${t.empty}</p>`;
    const hasOthers = list.some((session) => !session.current);
    const hasCurrent = list.some((session) => session.current);
    return html`
      <table class="cards">
        <thead><tr>
          <th scope="col">${t.address}</th><th scope="col">${t.created}</th><th scope="col">${t.lastSeen}</th><th scope="col">${t.ends}</th>
          <th scope="col"><span class="off-screen">${strings.actions}</span></th>
        </tr></thead>
        <tbody>${list.map((session) => this.row(session))}</tbody>
      </table>
      <p class="actions">
        ${hasOthers && hasCurrent ? html`<button type="button" @click=${() => this.confirmAll(true)}>${t.endOthers}</button>` : nothing}
        <button type="button" class="danger" @click=${() => this.confirmAll(false)}>${t.endAll}</button>
      </p>
    `;
  }

  /** @param {Session} session */
  row(session) {
    return html`
      <tr>
        <th scope="row" data-label=${t.address}>${session.address ? shown(session.address) : strings.unknown}
          ${session.current ? html`<span class="badge">${t.current}</span>` : nothing}</th>
        <td data-label=${t.created}>${time(session.created_at, strings.unknown)}</td>
        <td data-label=${t.lastSeen}>${time(session.last_seen_at, strings.unknown)}</td>
        <td data-label=${t.ends}>${time(session.expires_at)}</td>
        <td class="actions"><button type="button" class="small" aria-label=${t.endLabel(session.address ?? session.id)} @click=${() => this.end(session)}>${t.end}</button></td>
      </tr>
    `;
  }

  /** @param {Session} session */
  end(session) {
    confirmAction({
      title: session.current ? t.endCurrentTitle : t.endTitle,
      text: html`<p>${session.current ? t.endCurrentText : t.endText(session.address ?? strings.unknown)}</p>`,
      action: t.end,
      run: async () => {
        await destroy(`${this.owner.path}/${path`sessions/${session.id}`}`);
        announce(t.ended);
        this.list.reload();
      },
    });
  }

  /** @param {boolean} exceptCurrent */
  confirmAll(exceptCurrent) {
    confirmAction({
      title: exceptCurrent ? t.endOthers : t.endAll,
      text: html`<p>${exceptCurrent ? t.endOthersText : t.endAllText(this.owner.isSelf)}</p>`,
      action: exceptCurrent ? t.endOthers : t.endAll,
      run: async () => {
        await destroy(`${this.owner.path}/sessions`, exceptCurrent ? { except: "current" } : {});
        announce(t.endedAll);
        this.list.reload();
      },
    });
  }
}
