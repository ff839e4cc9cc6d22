import { expect, test } from 'vitest'
import { handedOver, ofVenue, sendFailed, sheetRefused, soundtrackAmbiguous, VENUE_ALERTS, zoneOffline } from './alerts.ts'

test('ids are those that alerts on the log have', () => {
  expect([
    zoneOffline('main:v1', 'z1'),
    ofVenue(VENUE_ALERTS.providerDown, 'main:v1'),
    handedOver('h1', 'SALES'),
    sendFailed('m1'),
    sheetRefused('venues'),
    soundtrackAmbiguous('acc'),
  ]).toEqual([
    { id: 'zone_offline:main:v1:z1', kind: 'zone_offline' },
    { id: 'provider_down:main:v1', kind: 'provider_down' },
    { id: 'h1:SALES', kind: 'handover' },
    { id: 'send_failed:m1', kind: 'send_failed' },
    { id: 'sheet_refused:venues', kind: 'sheet_refused' },
    { id: 'soundtrack_ambiguous:acc', kind: 'soundtrack_ambiguous' },
  ])
})
