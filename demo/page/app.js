const $ = id => document.getElementById(id)
const element = (tag, text, className) => {
  const made = document.createElement(tag)
  if (text !== undefined) made.textContent = text
  if (className) made.className = className
  return made
}
const post = (path, body) =>
  fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

const CHIPS = {
  contact: [
    'The music in the lobby is too loud',
    "What's playing at the pool?",
    'Skip this song in the lobby',
    'Pause the music at the pool for 20 minutes',
  ],
  thai: ['เพลงที่ล็อบบี้ดังเกินไป', 'ตอนนี้โซน Pool เปิดเพลงอะไรอยู่คะ', 'เรามีกี่โซนคะ ออนไลน์ครบทุกโซนไหม'],
  stranger: [
    'Hi, I am from Blue Lagoon Pattaya',
    'The music in the lobby stopped playing this morning',
    'Turn down the lobby',
    'I want to talk to a human',
  ],
}
const KEPT = 200
let stream

async function send(text, action) {
  const mine = element('li', text, 'mine')
  $('thread').append(mine)
  mine.scrollIntoView({ block: 'end' })
  const answer = await post('/demo/messages', { persona: $('persona').value, text, ...(action ? { action } : {}) }).catch(
    () => null,
  )
  if (!answer?.ok) mine.append(element('small', ' (not taken, try again)'))
}

function receive({ text, choices }) {
  const theirs = element('li', text)
  if (choices.length > 0) {
    const row = element('div', undefined, 'choices')
    for (const { id, title } of choices) {
      const button = element('button', title)
      button.addEventListener('click', () => {
        for (const other of row.children) other.disabled = true
        send(title, id)
      })
      row.append(button)
    }
    theirs.append(row)
  }
  $('thread').append(theirs)
  theirs.scrollIntoView({ block: 'end' })
}

function showZones({ venue, fault, zones }) {
  $('venue').textContent = venue
  $('fault').value = fault
  $('zones').replaceChildren(
    ...zones.map(zone => {
      const item = element('li')
      item.append(element('strong', zone.name), ' ')
      const state = !zone.online ? 'offline' : zone.playing ? 'playing' : 'paused'
      item.append(element('span', zone.kind === 'normal' ? state : `${state}, ${zone.kind}`, zone.online ? '' : 'off'))
      const volume = element('meter')
      volume.max = 16
      volume.value = zone.volume
      volume.title = `volume ${zone.volume} of 16`
      item.append(volume, element('small', `volume ${zone.volume} · ${zone.track} · ${zone.playlist}`))
      return item
    }),
  )
}

function showRecord({ topic, key, type, fields }) {
  const item = element('li')
  item.append(element('b', type), ` ${topic} `, element('small', `${key} ${JSON.stringify(fields)}`))
  $('records').prepend(item)
  while ($('records').children.length > KEPT) $('records').lastChild.remove()
}

function connect() {
  stream?.close()
  stream = new EventSource(`/demo/stream?persona=${encodeURIComponent($('persona').value)}`)
  const on = (event, show) => stream.addEventListener(event, ({ data }) => show(JSON.parse(data)))
  on('message', receive)
  on('zones', showZones)
  on('record', showRecord)
  stream.onopen = () => ($('state').textContent = '')
  stream.onerror = () => ($('state').textContent = 'Live updates lost, trying again …')
}

function become() {
  $('thread').replaceChildren()
  $('chips').replaceChildren(
    ...CHIPS[$('persona').value].map(text => {
      const chip = element('button', text)
      chip.addEventListener('click', () => send(text))
      return chip
    }),
  )
  connect()
}

const people = await (await fetch('/demo/personas')).json()
$('persona').replaceChildren(
  ...people.map(({ id, name, about }) => Object.assign(element('option', `${name}, ${about}`), { value: id })),
)
$('persona').addEventListener('change', become)
$('fault').addEventListener('change', () => post('/demo/faults', { fault: $('fault').value }))
$('composer').addEventListener('submit', event => {
  event.preventDefault()
  const text = $('text').value.trim()
  if (text) send(text)
  $('text').value = ''
})
become()
