import { createServer } from 'node:http'

// A worker that knows HTTP and nothing of RabbitMQ. 50 ms each; how many at a time is the Trigger's to say.
createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  await new Promise(done => setTimeout(done, 50)) // the work
  console.log('did', text)
  response.writeHead(204).end()
}).listen(process.env.PORT)
