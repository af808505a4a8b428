import { createServer } from 'node:http'

let seen = 0
createServer((request, response) => {
  request.resume().on('end', () => {
    if (++seen % 100 === 0) console.log(`${seen} events seen, the last of type ${request.headers['ce-type']}`)
    response.writeHead(204).end()
  })
}).listen(process.env.PORT)
