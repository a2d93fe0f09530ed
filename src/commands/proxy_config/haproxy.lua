-- Asks Lodge whether a request may pass; the argument is the address with what is asked for.
local CREDENTIALS = {"x-lodge-key", "proxy-authorization", "authorization"}
local IDENTITY = {
  "remote-user", "remote-email", "remote-name", "remote-groups", "x-lodge-user-id", "x-lodge-key-id", "x-lodge-assertion"
}
@+@-- What a browser adds, from which Lodge knows where a request comes from.
@+@local OF_BROWSERS = {
@+@  "cookie", "accept", "origin", "sec-fetch-mode", "sec-fetch-site", "sec-websocket-key", "sec-websocket-version"
@+@}
local REFUSAL = {"www-authenticate", "retry-after", "x-lodge-missing-scope", "content-type"}
@+@table.move({"location", "x-lodge-sign-in"}, 1, 2, #REFUSAL + 1, REFUSAL)

-- All values of a header, each in a line of its own; HAProxy counts them from 0.
local function values(given)
  local all = {}
  for place = 0, #given do
    all[#all + 1] = given[place]
  end
  return all
end

local function refuse(txn, status, answer)
  local reply = txn:reply{status = status}
  for _, name in ipairs(REFUSAL) do
    if answer and answer.headers and answer.headers[name] then
      reply:add_header(name, answer.headers[name][0])
    end
  end
  reply:set_body(answer and answer.body or "")
  txn:done(reply)
end

core.register_action("lodge", {"http-req"}, function(txn, address)
  local given = txn.http:req_get_headers()
  local headers = {["x-forwarded-for"] = {tostring(txn.f:src())}}
  for _, name in ipairs(CREDENTIALS) do
    if given[name] then
      headers[name] = values(given[name])
    end
  end
@+@  for _, name in ipairs(OF_BROWSERS) do
@+@    if given[name] then
@+@      headers[name] = values(given[name])
@+@    end
@+@  end
@+@  headers["x-forwarded-method"] = {txn.sf:method()}
@+@  headers["x-forwarded-proto"] = {txn.sf:ssl_fc() == "1" and "https" or "http"}
@+@  headers["x-forwarded-host"] = given["host"] and values(given["host"]) or nil
@+@  headers["x-forwarded-uri"] = {txn.sf:pathq()}
  -- It may ask four times: the last answer has to come before the minute in which HAProxy gives its client up.
  local answer = core.httpclient():get{url = address, headers = headers, timeout = 14000}
  local status = answer and answer.status or 0
@+@  if status == 302 then
@+@    return refuse(txn, status, answer)
@+@  end
  if status == 401 or status == 403 or status == 429 then
    return refuse(txn, status, answer)
  end
  if status ~= 200 then
    return refuse(txn, 503, answer)
  end
  for _, name in ipairs(IDENTITY) do
    if not answer.headers[name] then
      return refuse(txn, 503, nil)
    end
    txn.http:req_set_header(name, answer.headers[name][0])
  end
@+@  -- All cookies but Lodge's.
@+@  if not answer.headers["cookie"] then
@+@    return refuse(txn, 503, nil)
@+@  end
@+@  txn.http:req_set_header("cookie", answer.headers["cookie"][0])
  txn:set_var("txn.lodge", "admitted")
end, 1)
