import { createServer } from 'node:http'

// The orders of each customer that were made, and those that were cancelled. At least once means that one may come again.
const made = new Set()

createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  await new Promise(done => setTimeout(done, 5 + 20 * Math.random())) // the work
  const order = `${request.headers['ce-azsessionid']}/${JSON.parse(text).order}`
  if (request.headers['ce-type'] === 'com.example.order.made') made.add(order)
  // Cancelled before it was made: something has overtaken something else. A final answer, so that it is seen.
  else if (!made.has(order)) return response.writeHead(422).end(`${order} was never made`)
  console.log(request.headers['ce-type'], order)
  response.writeHead(204).end()
}).listen(process.env.PORT)
