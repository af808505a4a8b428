import { createServer } from 'node:http'

// A plain HTTP service. The answer to an event is an event itself: it goes back to the Broker, and from there to the board.
createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  const { order, customer, coffee } = JSON.parse(text)
  const cancelled = request.headers['ce-type'] === 'order.cancelled'
  console.log(`${process.pid} ${cancelled ? 'cancels' : 'brews'} ${order}`)
  if (!cancelled) await new Promise(done => setTimeout(done, 150 + 100 * Math.random())) // the work
  const type = cancelled ? 'coffee.cancelled' : 'coffee.brewed'
  response.writeHead(200, {
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': `${type}-${order}`,
    'ce-source': '/barista',
    'ce-type': type,
    'ce-subject': order,
    'ce-partitionkey': customer,
  })
  response.end(JSON.stringify({ order, customer, coffee, barista: process.pid }))
}).listen(process.env.PORT, process.env.HOST)
