import { createServer } from 'node:http'

// Each message of the queue is one POST: its attributes are ce-… headers, its data is the body. A 2xx answer means done.
createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  await new Promise(done => setTimeout(done, 100 + 200 * Math.random())) // the work
  console.log(request.headers['ce-id'], text)
  response.writeHead(204).end()
}).listen(process.env.PORT)
