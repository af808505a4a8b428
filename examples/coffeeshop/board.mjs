import { createServer } from 'node:http'

// Shows what is ready, a line each.
createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  const { order, customer, coffee } = JSON.parse(text)
  console.log(request.headers['ce-type'], order, customer, coffee)
  response.writeHead(204).end()
}).listen(process.env.PORT)
