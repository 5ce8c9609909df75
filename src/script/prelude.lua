-- Runs in each state before the script. Defines the table wrk as in wrk, and returns the functions that
-- loadgen calls. They look up the script's functions by name at each call, because a script may replace
-- a function while it runs.
local native = ...
local new = require("table.new")
local concat, length, pairs, tostring, type = table.concat, string.len, pairs, tostring, type
local error, ipairs, select, stdout = error, ipairs, select, io.stdout

wrk = {
   scheme = native.scheme,
   host = native.host,
   port = native.port,
   path = native.path,
   method = native.method,
   headers = native.headers,
   addrs = { native.address },
   lookup = native.lookup,
   connect = native.connect,
}

-- Many scripts begin with: local wrk = require("wrk")
package.loaded.wrk = wrk

loadgen = { msg_id = native.msg_id }

-- Fails the run instead of ending the process.
os.exit = native.exit

-- Fills wrk.addrs with the addresses of the host that accept a connection.
function wrk.resolve(host, service)
   local open = {}
   for _, address in ipairs(wrk.lookup(host, service)) do
      if wrk.connect(address) then open[#open + 1] = address end
   end
   wrk.addrs = open
end

-- Lua and loadgen have separate buffers for standard output, and all threads share that of Lua. So each
-- line is written out when it is complete, and print writes in one piece.
stdout:setvbuf("line")

function print(...)
   local words, n = { ... }, select("#", ...)
   for i = 1, n do words[i] = tostring(words[i]) end
   stdout:write(concat(words, "\t", 1, n) .. "\n")
end

-- Pieces of the current request; the table is reused for the next one.
local pieces = {}

-- Raises an error with the line of the caller of wrk.format.
local function refuse(what, value)
   local kind = type(value)
   error("wrk.format: " .. what .. ", not " .. (kind == "nil" and kind or "a " .. kind), 3)
end

local function is_text(value) return type(value) == "string" or type(value) == "number" end

function wrk.format(method, path, headers, body)
   method, path = method or wrk.method, path or wrk.path
   headers, body = headers or wrk.headers, body or wrk.body
   if not is_text(method) then refuse("the method must be a text", method) end
   if not is_text(path) then refuse("the path must be a text", path) end
   if type(headers) ~= "table" then refuse("the headers must be a table", headers) end
   if body and not is_text(body) then refuse("the body must be a text", body) end
   if not headers.Host then headers.Host = wrk.headers.Host end
   headers["Content-Length"] = body and length(body)

   pieces[1], pieces[2], pieces[3] = method, " ", path
   pieces[4] = " HTTP/1.1\r\n"
   local n = 4
   for name, value in pairs(headers) do
      pieces[n + 1], pieces[n + 2] = name, ": "
      pieces[n + 3], pieces[n + 4] = tostring(value), "\r\n"
      n = n + 4
   end
   pieces[n + 1], pieces[n + 2] = "\r\n", body or ""
   return concat(pieces, "", 1, n + 2)
end

function wrk.setup(thread)
   if type(setup) == "function" then setup(thread) end
end

function wrk.init(args)
   if not wrk.headers.Host then
      local authority = wrk.host
      if authority:find(":", 1, true) then authority = "[" .. authority .. "]" end
      if wrk.port then authority = authority .. ":" .. wrk.port end
      wrk.headers.Host = authority
   end
   if type(init) == "function" then init(args) end
   local unchanging = wrk.format()
   function wrk.request() return unchanging end
end

local calls = {}

function calls.setup(thread) wrk.setup(thread) end

function calls.init(args) wrk.init(args) end

function calls.request()
   local write = request
   if type(write) ~= "function" then write = wrk.request end
   return write()
end

-- Responses with the same head share fields, so the script gets a copy.
function calls.response(status, fields, body)
   local see = response
   if type(see) ~= "function" then return end
   local headers = new(0, 8)
   for name, value in pairs(fields) do headers[name] = value end
   see(status, headers, body)
end

function calls.delay()
   local hold = delay
   if type(hold) == "function" then return hold() end
end

function calls.done(summary, latency, requests)
   if type(done) == "function" then done(summary, latency, requests) end
end

function calls.flush() io.stdout:flush() end

return calls
