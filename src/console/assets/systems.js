/**
 * The users and groups of the operating system.
 *
 * @module
 */

import { get } from "./api.js";

/** @typedef {{name: string, uid: number, gid: number, info: string}} SystemUser */
/** @typedef {{name: string, gid: number, users: string[]}} SystemGroup */

/** @returns {Promise<SystemUser[]>} */
export const systemUsers = async () => (await get("users/-/systems")).users;
/** @returns {Promise<SystemGroup[]>} */
export const systemGroups = async () => (await get("groups/-/systems")).groups;
