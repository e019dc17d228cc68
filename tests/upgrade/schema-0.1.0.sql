CREATE TABLE IF NOT EXISTS schema_version (
    version UInt32 COMMENT 'Number of the layout',
    program String COMMENT 'Version of the program that made it',
    layout String COMMENT 'Hash of all statements, so that an unchanged layout is not made again',
    applied_ms Int64 COMMENT 'When, epoch ms'
)
ENGINE = MergeTree
ORDER BY applied_ms
COMMENT 'Which layout the tables have; the highest version counts.';

CREATE TABLE IF NOT EXISTS `observations_rows` (
    `site` LowCardinality(String) COMMENT 'Store the device belonged to on arrival',
    `device` LowCardinality(String) COMMENT 'Serial number or devEUI, lower case',
    `event_id` UInt64 COMMENT 'Identity of the event: hash of what the device said, never of when it arrived',
    `section` LowCardinality(String) COMMENT 'line, zone, stay, dwell, flow or status',
    `kind` LowCardinality(String) COMMENT 'window, trigger or total; empty where that makes no sense',
    `part` UInt16 COMMENT 'Number of the line or zone; 0 the whole view',
    `start` DateTime('UTC') COMMENT 'Chosen event time: start of the window, or the moment',
    `end` DateTime('UTC') COMMENT 'Chosen event time: end of the window, or the moment',
    `resolution_s` UInt32 COMMENT 'Length of the window in seconds; 0 for a moment',
    `people_in` Nullable(UInt32) COMMENT 'People in, children and staff included',
    `people_out` Nullable(UInt32) COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (groups, not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `present` Nullable(UInt32) COMMENT 'People present at the end',
    `detail` String COMMENT 'JSON of everything that has no column of its own; empty when there is nothing',
    `dialect` LowCardinality(String) COMMENT 'Decoder that read it',
    `device_time` String COMMENT 'Device time exactly as sent; empty when the message has none',
    `clock` LowCardinality(String) COMMENT 'device: event time is the device\'s; arrival: the device\'s clock is not trusted',
    `flags` LowCardinality(String) COMMENT 'Comma-separated remarks: correction, overlap, ambiguous, replayed, swapped_clock, ...',
    `skew_s` Int32 COMMENT 'Arrival minus device time in seconds',
    `arrival_ms` Int64 COMMENT 'Arrival of the earliest copy, epoch ms (the log\'s timestamp)',
    `topic` LowCardinality(String) COMMENT 'Provenance: topic of the log',
    `partition_no` UInt16 COMMENT 'Provenance: partition',
    `position` UInt64 COMMENT 'Provenance: position in the partition',
    `rank` UInt64 COMMENT '2^63 - arrival_ms: the earliest copy wins',
    INDEX by_id event_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_site site TYPE set(100) GRANULARITY 4
)
ENGINE = ReplacingMergeTree(rank)
PARTITION BY toYYYYMM(start)
ORDER BY (device, start, event_id)
TTL start + toIntervalDay(396)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Every accepted event as the sensor said it (before any direction swap). The truth that all figures come from.';

CREATE OR REPLACE VIEW `observations` (
    `site` LowCardinality(String) COMMENT 'Store the device belonged to on arrival',
    `device` LowCardinality(String) COMMENT 'Serial number or devEUI, lower case',
    `event_id` UInt64 COMMENT 'Identity of the event: hash of what the device said, never of when it arrived',
    `section` LowCardinality(String) COMMENT 'line, zone, stay, dwell, flow or status',
    `kind` LowCardinality(String) COMMENT 'window, trigger or total; empty where that makes no sense',
    `part` UInt16 COMMENT 'Number of the line or zone; 0 the whole view',
    `start` DateTime('UTC') COMMENT 'Chosen event time: start of the window, or the moment',
    `end` DateTime('UTC') COMMENT 'Chosen event time: end of the window, or the moment',
    `resolution_s` UInt32 COMMENT 'Length of the window in seconds; 0 for a moment',
    `people_in` Nullable(UInt32) COMMENT 'People in, children and staff included',
    `people_out` Nullable(UInt32) COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (groups, not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `present` Nullable(UInt32) COMMENT 'People present at the end',
    `detail` String COMMENT 'JSON of everything that has no column of its own; empty when there is nothing',
    `dialect` LowCardinality(String) COMMENT 'Decoder that read it',
    `device_time` String COMMENT 'Device time exactly as sent; empty when the message has none',
    `clock` LowCardinality(String) COMMENT 'device: event time is the device\'s; arrival: the device\'s clock is not trusted',
    `flags` LowCardinality(String) COMMENT 'Comma-separated remarks: correction, overlap, ambiguous, replayed, swapped_clock, ...',
    `skew_s` Int32 COMMENT 'Arrival minus device time in seconds',
    `arrival_ms` Int64 COMMENT 'Arrival of the earliest copy, epoch ms (the log\'s timestamp)',
    `topic` LowCardinality(String) COMMENT 'Provenance: topic of the log',
    `partition_no` UInt16 COMMENT 'Provenance: partition',
    `position` UInt64 COMMENT 'Provenance: position in the partition',
    `rank` UInt64 COMMENT '2^63 - arrival_ms: the earliest copy wins'
)
AS SELECT `site`, `device`, `event_id`, `section`, `kind`, `part`, `start`, `end`, `resolution_s`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `present`, `detail`, `dialect`, `device_time`, `clock`, `flags`, `skew_s`, `arrival_ms`, `topic`, `partition_no`, `position`, `rank`
FROM `observations_rows` FINAL
COMMENT 'Every accepted event as the sensor said it (before any direction swap). The truth that all figures come from.';

CREATE TABLE IF NOT EXISTS `duplicates_rows` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `arrived` DateTime('UTC') COMMENT 'Arrival',
    `topic` LowCardinality(String) COMMENT 'Topic of the log',
    `partition_no` UInt16 COMMENT 'Partition',
    `position` UInt64 COMMENT 'Position'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(arrived)
ORDER BY (topic, partition_no, position)
TTL arrived + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Messages that said nothing new: every event of them was already there.';

CREATE OR REPLACE VIEW `duplicates` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `arrived` DateTime('UTC') COMMENT 'Arrival',
    `topic` LowCardinality(String) COMMENT 'Topic of the log',
    `partition_no` UInt16 COMMENT 'Partition',
    `position` UInt64 COMMENT 'Position'
)
AS SELECT `site`, `device`, `arrived`, `topic`, `partition_no`, `position`
FROM `duplicates_rows` FINAL
COMMENT 'Messages that said nothing new: every event of them was already there.';

CREATE TABLE IF NOT EXISTS `quarantine_rows` (
    `topic` LowCardinality(String) COMMENT 'Topic of the log',
    `partition_no` UInt16 COMMENT 'Partition',
    `position` UInt64 COMMENT 'Position',
    `item` UInt16 COMMENT 'Number of the refused part within the message',
    `arrived` DateTime('UTC') COMMENT 'Arrival',
    `site` LowCardinality(String) COMMENT 'Store, when known',
    `device` LowCardinality(String) COMMENT 'Device, when known',
    `reason` LowCardinality(String) COMMENT 'Why, as one stable word',
    `place` String COMMENT 'Where in the message: JSON path or byte',
    `detail` String COMMENT 'More words',
    `partial` UInt8 COMMENT '1 when other parts of the message were stored',
    `size` UInt32 COMMENT 'Bytes of the payload',
    `payload` String COMMENT 'The payload, at most 4 kB of it'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(arrived)
ORDER BY (topic, partition_no, position, item)
TTL arrived + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'What was not understood or not believed, with the reason and the bytes. `partial` = other parts were good.';

CREATE OR REPLACE VIEW `quarantine` (
    `topic` LowCardinality(String) COMMENT 'Topic of the log',
    `partition_no` UInt16 COMMENT 'Partition',
    `position` UInt64 COMMENT 'Position',
    `item` UInt16 COMMENT 'Number of the refused part within the message',
    `arrived` DateTime('UTC') COMMENT 'Arrival',
    `site` LowCardinality(String) COMMENT 'Store, when known',
    `device` LowCardinality(String) COMMENT 'Device, when known',
    `reason` LowCardinality(String) COMMENT 'Why, as one stable word',
    `place` String COMMENT 'Where in the message: JSON path or byte',
    `detail` String COMMENT 'More words',
    `partial` UInt8 COMMENT '1 when other parts of the message were stored',
    `size` UInt32 COMMENT 'Bytes of the payload',
    `payload` String COMMENT 'The payload, at most 4 kB of it'
)
AS SELECT `topic`, `partition_no`, `position`, `item`, `arrived`, `site`, `device`, `reason`, `place`, `detail`, `partial`, `size`, `payload`
FROM `quarantine_rows` FINAL
COMMENT 'What was not understood or not believed, with the reason and the bytes. `partial` = other parts were good.';

CREATE TABLE IF NOT EXISTS `line_minutes_revisions` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `line` UInt16 COMMENT 'Line number of the device',
    `minute` DateTime('UTC') COMMENT 'Start of the minute, UTC',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt16 COMMENT 'Seconds of the minute that a report covered (0 to 60)',
    `resolution_s` UInt32 COMMENT 'Longest report that contributed, in seconds: 60 means measured by the minute',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
ENGINE = ReplacingMergeTree(complete)
PARTITION BY toYYYYMM(minute)
ORDER BY (device, line, minute, revision)
TTL minute + toIntervalDay(1826)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Crossings per line and minute, direction already put right.';

CREATE OR REPLACE VIEW `line_minutes` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `line` UInt16 COMMENT 'Line number of the device',
    `minute` DateTime('UTC') COMMENT 'Start of the minute, UTC',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt16 COMMENT 'Seconds of the minute that a report covered (0 to 60)',
    `resolution_s` UInt32 COMMENT 'Longest report that contributed, in seconds: 60 means measured by the minute',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
AS SELECT `site`, `device`, `line`, `minute`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `resolution_s`, `complete`, `revision`, `known_at_ms`
FROM `line_minutes_revisions`
ORDER BY device DESC, line DESC, minute DESC, revision DESC, complete DESC
LIMIT 1 BY device, line, minute
COMMENT 'Crossings per line and minute, direction already put right.';

CREATE OR REPLACE VIEW `line_minutes_as_of`
AS SELECT `site`, `device`, `line`, `minute`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `resolution_s`, `complete`, `revision`, `known_at_ms`
FROM `line_minutes_revisions`
WHERE known_at_ms <= {at_ms:Int64}
ORDER BY device DESC, line DESC, minute DESC, revision DESC, complete DESC
LIMIT 1 BY device, line, minute
COMMENT 'Crossings per line and minute, direction already put right. As known at at_ms (epoch ms).';

CREATE TABLE IF NOT EXISTS `line_buckets_revisions` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `line` UInt16 COMMENT 'Line number of the device',
    `step` LowCardinality(String) COMMENT '15m, 1h or 1d',
    `start` DateTime('UTC') COMMENT 'Start of the bucket, UTC',
    `end` DateTime('UTC') COMMENT 'End of the bucket, UTC (a day may have 23 or 25 hours)',
    `local_start` DateTime64(0, 'UTC') COMMENT 'Start in the store\'s civil time (read it as a wall clock, it carries no zone)',
    `utc_offset_s` Int32 COMMENT 'Civil time minus UTC at the start, seconds',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt32 COMMENT 'Seconds that a report covered',
    `expected_s` UInt32 COMMENT 'Seconds of the bucket: coverage = measured_s / expected_s',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
ENGINE = ReplacingMergeTree(complete)
PARTITION BY toYYYYMM(start)
ORDER BY (step, device, line, start, revision)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Crossings per line in 15 minutes, hours and days of site-local civil time.';

CREATE OR REPLACE VIEW `line_buckets` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `line` UInt16 COMMENT 'Line number of the device',
    `step` LowCardinality(String) COMMENT '15m, 1h or 1d',
    `start` DateTime('UTC') COMMENT 'Start of the bucket, UTC',
    `end` DateTime('UTC') COMMENT 'End of the bucket, UTC (a day may have 23 or 25 hours)',
    `local_start` DateTime64(0, 'UTC') COMMENT 'Start in the store\'s civil time (read it as a wall clock, it carries no zone)',
    `utc_offset_s` Int32 COMMENT 'Civil time minus UTC at the start, seconds',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt32 COMMENT 'Seconds that a report covered',
    `expected_s` UInt32 COMMENT 'Seconds of the bucket: coverage = measured_s / expected_s',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
AS SELECT `site`, `device`, `line`, `step`, `start`, `end`, `local_start`, `utc_offset_s`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `expected_s`, `complete`, `revision`, `known_at_ms`
FROM `line_buckets_revisions`
ORDER BY step DESC, device DESC, line DESC, start DESC, revision DESC, complete DESC
LIMIT 1 BY step, device, line, start
COMMENT 'Crossings per line in 15 minutes, hours and days of site-local civil time.';

CREATE OR REPLACE VIEW `line_buckets_as_of`
AS SELECT `site`, `device`, `line`, `step`, `start`, `end`, `local_start`, `utc_offset_s`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `expected_s`, `complete`, `revision`, `known_at_ms`
FROM `line_buckets_revisions`
WHERE known_at_ms <= {at_ms:Int64}
ORDER BY step DESC, device DESC, line DESC, start DESC, revision DESC, complete DESC
LIMIT 1 BY step, device, line, start
COMMENT 'Crossings per line in 15 minutes, hours and days of site-local civil time. As known at at_ms (epoch ms).';

CREATE TABLE IF NOT EXISTS `site_minutes_revisions` (
    `site` LowCardinality(String) COMMENT 'Store',
    `minute` DateTime('UTC') COMMENT 'Start of the minute, UTC',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt32 COMMENT 'Line-seconds that a report covered',
    `expected_s` UInt32 COMMENT 'Line-seconds of the minute: 60 x entrance lines',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
ENGINE = ReplacingMergeTree(complete)
PARTITION BY toYYYYMM(minute)
ORDER BY (site, minute, revision)
TTL minute + toIntervalDay(1826)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Entrance crossings per store and minute: sum of the lines with role entrance.';

CREATE OR REPLACE VIEW `site_minutes` (
    `site` LowCardinality(String) COMMENT 'Store',
    `minute` DateTime('UTC') COMMENT 'Start of the minute, UTC',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt32 COMMENT 'Line-seconds that a report covered',
    `expected_s` UInt32 COMMENT 'Line-seconds of the minute: 60 x entrance lines',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
AS SELECT `site`, `minute`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `expected_s`, `complete`, `revision`, `known_at_ms`
FROM `site_minutes_revisions`
ORDER BY site DESC, minute DESC, revision DESC, complete DESC
LIMIT 1 BY site, minute
COMMENT 'Entrance crossings per store and minute: sum of the lines with role entrance.';

CREATE OR REPLACE VIEW `site_minutes_as_of`
AS SELECT `site`, `minute`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `expected_s`, `complete`, `revision`, `known_at_ms`
FROM `site_minutes_revisions`
WHERE known_at_ms <= {at_ms:Int64}
ORDER BY site DESC, minute DESC, revision DESC, complete DESC
LIMIT 1 BY site, minute
COMMENT 'Entrance crossings per store and minute: sum of the lines with role entrance. As known at at_ms (epoch ms).';

CREATE TABLE IF NOT EXISTS `site_buckets_revisions` (
    `site` LowCardinality(String) COMMENT 'Store',
    `step` LowCardinality(String) COMMENT '15m, 1h or 1d',
    `start` DateTime('UTC') COMMENT 'Start of the bucket, UTC',
    `end` DateTime('UTC') COMMENT 'End of the bucket, UTC',
    `local_start` DateTime64(0, 'UTC') COMMENT 'Start in the store\'s civil time (read it as a wall clock, it carries no zone)',
    `utc_offset_s` Int32 COMMENT 'Civil time minus UTC at the start, seconds',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt32 COMMENT 'Line-seconds that a report covered',
    `expected_s` UInt32 COMMENT 'Line-seconds of the bucket: coverage = measured_s / expected_s',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
ENGINE = ReplacingMergeTree(complete)
PARTITION BY toYYYYMM(start)
ORDER BY (step, site, start, revision)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Entrance crossings per store in 15 minutes, hours and days of site-local civil time.';

CREATE OR REPLACE VIEW `site_buckets` (
    `site` LowCardinality(String) COMMENT 'Store',
    `step` LowCardinality(String) COMMENT '15m, 1h or 1d',
    `start` DateTime('UTC') COMMENT 'Start of the bucket, UTC',
    `end` DateTime('UTC') COMMENT 'End of the bucket, UTC',
    `local_start` DateTime64(0, 'UTC') COMMENT 'Start in the store\'s civil time (read it as a wall clock, it carries no zone)',
    `utc_offset_s` Int32 COMMENT 'Civil time minus UTC at the start, seconds',
    `people_in` UInt32 COMMENT 'People in, children and staff included',
    `people_out` UInt32 COMMENT 'People out',
    `child_in` Nullable(UInt32) COMMENT 'Children in; NULL: not reported',
    `child_out` Nullable(UInt32) COMMENT 'Children out',
    `staff_in` Nullable(UInt32) COMMENT 'Staff in',
    `staff_out` Nullable(UInt32) COMMENT 'Staff out',
    `group_in` Nullable(UInt32) COMMENT 'Groups in (not people)',
    `group_out` Nullable(UInt32) COMMENT 'Groups out',
    `measured_s` UInt32 COMMENT 'Line-seconds that a report covered',
    `expected_s` UInt32 COMMENT 'Line-seconds of the bucket: coverage = measured_s / expected_s',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
AS SELECT `site`, `step`, `start`, `end`, `local_start`, `utc_offset_s`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `expected_s`, `complete`, `revision`, `known_at_ms`
FROM `site_buckets_revisions`
ORDER BY step DESC, site DESC, start DESC, revision DESC, complete DESC
LIMIT 1 BY step, site, start
COMMENT 'Entrance crossings per store in 15 minutes, hours and days of site-local civil time.';

CREATE OR REPLACE VIEW `site_buckets_as_of`
AS SELECT `site`, `step`, `start`, `end`, `local_start`, `utc_offset_s`, `people_in`, `people_out`, `child_in`, `child_out`, `staff_in`, `staff_out`, `group_in`, `group_out`, `measured_s`, `expected_s`, `complete`, `revision`, `known_at_ms`
FROM `site_buckets_revisions`
WHERE known_at_ms <= {at_ms:Int64}
ORDER BY step DESC, site DESC, start DESC, revision DESC, complete DESC
LIMIT 1 BY step, site, start
COMMENT 'Entrance crossings per store in 15 minutes, hours and days of site-local civil time. As known at at_ms (epoch ms).';

CREATE TABLE IF NOT EXISTS `occupancy_revisions` (
    `site` LowCardinality(String) COMMENT 'Store',
    `minute` DateTime('UTC') COMMENT 'Minute at whose end the estimate holds, UTC',
    `estimate` Float64 COMMENT 'People present',
    `low` Float64 COMMENT 'Lower end of the 90 % interval',
    `high` Float64 COMMENT 'Upper end of the 90 % interval',
    `raw` Int32 COMMENT 'Sum of in minus out since the reset, uncorrected',
    `mode` LowCardinality(String) COMMENT 'How it was corrected: raw, learnt, reflected; unanchored: never known to be empty',
    `limit_operational` Nullable(UInt32) COMMENT 'Operational capacity',
    `limit_legal` Nullable(UInt32) COMMENT 'Legal capacity',
    `over_operational` Nullable(Float64) COMMENT 'Probability of being at or over 90 % of the operational capacity',
    `over_legal` Nullable(Float64) COMMENT 'Probability of being at or over 90 % of the legal capacity',
    `coverage` Nullable(Float64) COMMENT 'Measured share of the entrance line-seconds since the reset, 0 to 1',
    `factors_revision` UInt32 COMMENT 'Revision of the learnt door factors in force',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
ENGINE = ReplacingMergeTree(complete)
PARTITION BY toYYYYMM(minute)
ORDER BY (site, minute, revision)
TTL minute + toIntervalDay(1826)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'People in the store at the end of each minute: drift-corrected estimate with a 90 % interval.';

CREATE OR REPLACE VIEW `occupancy` (
    `site` LowCardinality(String) COMMENT 'Store',
    `minute` DateTime('UTC') COMMENT 'Minute at whose end the estimate holds, UTC',
    `estimate` Float64 COMMENT 'People present',
    `low` Float64 COMMENT 'Lower end of the 90 % interval',
    `high` Float64 COMMENT 'Upper end of the 90 % interval',
    `raw` Int32 COMMENT 'Sum of in minus out since the reset, uncorrected',
    `mode` LowCardinality(String) COMMENT 'How it was corrected: raw, learnt, reflected; unanchored: never known to be empty',
    `limit_operational` Nullable(UInt32) COMMENT 'Operational capacity',
    `limit_legal` Nullable(UInt32) COMMENT 'Legal capacity',
    `over_operational` Nullable(Float64) COMMENT 'Probability of being at or over 90 % of the operational capacity',
    `over_legal` Nullable(Float64) COMMENT 'Probability of being at or over 90 % of the legal capacity',
    `coverage` Nullable(Float64) COMMENT 'Measured share of the entrance line-seconds since the reset, 0 to 1',
    `factors_revision` UInt32 COMMENT 'Revision of the learnt door factors in force',
    `complete` UInt8 COMMENT '1 once the watermark has passed the end',
    `revision` UInt64 COMMENT 'generation x 2^40 + distinct observations that contributed; grows with knowledge',
    `known_at_ms` Int64 COMMENT 'Newest arrival among the contributors, epoch ms'
)
AS SELECT `site`, `minute`, `estimate`, `low`, `high`, `raw`, `mode`, `limit_operational`, `limit_legal`, `over_operational`, `over_legal`, `coverage`, `factors_revision`, `complete`, `revision`, `known_at_ms`
FROM `occupancy_revisions`
ORDER BY site DESC, minute DESC, revision DESC, complete DESC
LIMIT 1 BY site, minute
COMMENT 'People in the store at the end of each minute: drift-corrected estimate with a 90 % interval.';

CREATE OR REPLACE VIEW `occupancy_as_of`
AS SELECT `site`, `minute`, `estimate`, `low`, `high`, `raw`, `mode`, `limit_operational`, `limit_legal`, `over_operational`, `over_legal`, `coverage`, `factors_revision`, `complete`, `revision`, `known_at_ms`
FROM `occupancy_revisions`
WHERE known_at_ms <= {at_ms:Int64}
ORDER BY site DESC, minute DESC, revision DESC, complete DESC
LIMIT 1 BY site, minute
COMMENT 'People in the store at the end of each minute: drift-corrected estimate with a 90 % interval. As known at at_ms (epoch ms).';

CREATE TABLE IF NOT EXISTS `door_factors_rows` (
    `site` LowCardinality(String) COMMENT 'Store',
    `reset` DateTime('UTC') COMMENT 'Reset from which it holds',
    `device` LowCardinality(String) COMMENT 'Device',
    `line` UInt16 COMMENT 'Line',
    `day_type` UInt8 COMMENT '0 weekday, 1 Saturday, 2 Sunday or holiday',
    `block` UInt8 COMMENT 'Block of four hours of the civil day, 0 to 5',
    `log_ratio` Float64 COMMENT 'Learnt log(sum in / sum out)',
    `weight` Float64 COMMENT 'Evidence behind it (decayed crossings)',
    `error_rate` Float64 COMMENT 'Learnt error rate per crossing of the store',
    `error_weight` Float64 COMMENT 'Days behind the error rate',
    `level` Float64 COMMENT 'People present at the reset; not 0 only where a store is never known to be empty',
    `level_variance` Float64 COMMENT 'Variance of the level',
    `factors_revision` UInt32 COMMENT 'Number of resets learnt from'
)
ENGINE = ReplacingMergeTree(factors_revision)
ORDER BY (site, reset, device, line, day_type, block)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Learnt log(in/out) per door, day type and hour block, frozen at each reset.';

CREATE OR REPLACE VIEW `door_factors` (
    `site` LowCardinality(String) COMMENT 'Store',
    `reset` DateTime('UTC') COMMENT 'Reset from which it holds',
    `device` LowCardinality(String) COMMENT 'Device',
    `line` UInt16 COMMENT 'Line',
    `day_type` UInt8 COMMENT '0 weekday, 1 Saturday, 2 Sunday or holiday',
    `block` UInt8 COMMENT 'Block of four hours of the civil day, 0 to 5',
    `log_ratio` Float64 COMMENT 'Learnt log(sum in / sum out)',
    `weight` Float64 COMMENT 'Evidence behind it (decayed crossings)',
    `error_rate` Float64 COMMENT 'Learnt error rate per crossing of the store',
    `error_weight` Float64 COMMENT 'Days behind the error rate',
    `level` Float64 COMMENT 'People present at the reset; not 0 only where a store is never known to be empty',
    `level_variance` Float64 COMMENT 'Variance of the level',
    `factors_revision` UInt32 COMMENT 'Number of resets learnt from'
)
AS SELECT `site`, `reset`, `device`, `line`, `day_type`, `block`, `log_ratio`, `weight`, `error_rate`, `error_weight`, `level`, `level_variance`, `factors_revision`
FROM `door_factors_rows` FINAL
COMMENT 'Learnt log(in/out) per door, day type and hour block, frozen at each reset.';

CREATE TABLE IF NOT EXISTS `anomalies_rows` (
    `site` LowCardinality(String) COMMENT 'Store',
    `start` DateTime('UTC') COMMENT 'Start of the quarter of an hour, UTC',
    `value` Float64 COMMENT 'People in',
    `expected` Nullable(Float64) COMMENT 'What the model expected; NULL before it has data',
    `low` Nullable(Float64) COMMENT 'Lower end of the usual range (90 %)',
    `high` Nullable(Float64) COMMENT 'Upper end of the usual range (90 %)',
    `score` Float64 COMMENT '0 usual to 1 unheard of',
    `model` LowCardinality(String) COMMENT 'Name of the model',
    `position` UInt64 COMMENT 'Log time when it was said, epoch ms'
)
ENGINE = ReplacingMergeTree(position)
PARTITION BY toYYYYMM(start)
ORDER BY (site, start)
TTL start + toIntervalDay(1826)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Score of each closed quarter of an hour of a store against its usual week. What was said then is never rewritten.';

CREATE OR REPLACE VIEW `anomalies` (
    `site` LowCardinality(String) COMMENT 'Store',
    `start` DateTime('UTC') COMMENT 'Start of the quarter of an hour, UTC',
    `value` Float64 COMMENT 'People in',
    `expected` Nullable(Float64) COMMENT 'What the model expected; NULL before it has data',
    `low` Nullable(Float64) COMMENT 'Lower end of the usual range (90 %)',
    `high` Nullable(Float64) COMMENT 'Upper end of the usual range (90 %)',
    `score` Float64 COMMENT '0 usual to 1 unheard of',
    `model` LowCardinality(String) COMMENT 'Name of the model',
    `position` UInt64 COMMENT 'Log time when it was said, epoch ms'
)
AS SELECT `site`, `start`, `value`, `expected`, `low`, `high`, `score`, `model`, `position`
FROM `anomalies_rows` FINAL
COMMENT 'Score of each closed quarter of an hour of a store against its usual week. What was said then is never rewritten.';

CREATE TABLE IF NOT EXISTS `devices_rows` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `device_name` String COMMENT 'Name in the registry, else what the device calls itself',
    `dialect` LowCardinality(String) COMMENT 'Decoder of its last message',
    `firmware` String COMMENT 'Firmware as it says',
    `expected_interval_s` UInt32 COMMENT 'How often it should report',
    `last_arrival_ms` Int64 COMMENT 'Arrival of its last message, epoch ms',
    `last_skew_s` Int32 COMMENT 'Arrival minus device time of that message',
    `clock` LowCardinality(String) COMMENT 'device or arrival: whose time is used',
    `silent` UInt8 COMMENT '1 when it has been silent for three report periods',
    `messages` UInt64 COMMENT 'Messages so far',
    `revision` UInt64 COMMENT 'Grows with every message and with silence',
    `known_at_ms` Int64 COMMENT 'Newest arrival, epoch ms'
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (device)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'What is known of each device: last message, clock, firmware. Only the newest is kept: it changes with each message.';

CREATE OR REPLACE VIEW `devices` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `device_name` String COMMENT 'Name in the registry, else what the device calls itself',
    `dialect` LowCardinality(String) COMMENT 'Decoder of its last message',
    `firmware` String COMMENT 'Firmware as it says',
    `expected_interval_s` UInt32 COMMENT 'How often it should report',
    `last_arrival_ms` Int64 COMMENT 'Arrival of its last message, epoch ms',
    `last_skew_s` Int32 COMMENT 'Arrival minus device time of that message',
    `clock` LowCardinality(String) COMMENT 'device or arrival: whose time is used',
    `silent` UInt8 COMMENT '1 when it has been silent for three report periods',
    `messages` UInt64 COMMENT 'Messages so far',
    `revision` UInt64 COMMENT 'Grows with every message and with silence',
    `known_at_ms` Int64 COMMENT 'Newest arrival, epoch ms'
)
AS SELECT `site`, `device`, `device_name`, `dialect`, `firmware`, `expected_interval_s`, `last_arrival_ms`, `last_skew_s`, `clock`, `silent`, `messages`, `revision`, `known_at_ms`
FROM `devices_rows` FINAL
COMMENT 'What is known of each device: last message, clock, firmware. Only the newest is kept: it changes with each message.';

CREATE TABLE IF NOT EXISTS `transitions_rows` (
    `transition_id` String COMMENT 'Deterministic id',
    `episode_id` String COMMENT 'Episode it belongs to',
    `fingerprint` String COMMENT 'Rule and subject, stable over episodes',
    `site` LowCardinality(String) COMMENT 'Store',
    `rule` LowCardinality(String) COMMENT 'Rule',
    `subject` String COMMENT 'What within the store: a device, a zone; empty for the store itself',
    `severity` LowCardinality(String) COMMENT 'critical, warning or info',
    `kind` LowCardinality(String) COMMENT 'firing or resolved, ...',
    `happened` DateTime('UTC') COMMENT 'Event time of the change',
    `onset` DateTime('UTC') COMMENT 'Event time at which the episode began',
    `value` Nullable(Float64) COMMENT 'Value that decided',
    `summary` String COMMENT 'One sentence for people',
    `reason` LowCardinality(String) COMMENT 'Named reason',
    `backfilled` UInt8 COMMENT '1 when it was decided on data older than the alert horizon: never sent',
    `decided_ms` Int64 COMMENT 'Log time of the decision, epoch ms'
)
ENGINE = ReplacingMergeTree
ORDER BY (site, rule, transition_id)
TTL happened + toIntervalDay(396)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Changes of state of alerts, exactly as decided then.';

CREATE OR REPLACE VIEW `transitions` (
    `transition_id` String COMMENT 'Deterministic id',
    `episode_id` String COMMENT 'Episode it belongs to',
    `fingerprint` String COMMENT 'Rule and subject, stable over episodes',
    `site` LowCardinality(String) COMMENT 'Store',
    `rule` LowCardinality(String) COMMENT 'Rule',
    `subject` String COMMENT 'What within the store: a device, a zone; empty for the store itself',
    `severity` LowCardinality(String) COMMENT 'critical, warning or info',
    `kind` LowCardinality(String) COMMENT 'firing or resolved, ...',
    `happened` DateTime('UTC') COMMENT 'Event time of the change',
    `onset` DateTime('UTC') COMMENT 'Event time at which the episode began',
    `value` Nullable(Float64) COMMENT 'Value that decided',
    `summary` String COMMENT 'One sentence for people',
    `reason` LowCardinality(String) COMMENT 'Named reason',
    `backfilled` UInt8 COMMENT '1 when it was decided on data older than the alert horizon: never sent',
    `decided_ms` Int64 COMMENT 'Log time of the decision, epoch ms'
)
AS SELECT `transition_id`, `episode_id`, `fingerprint`, `site`, `rule`, `subject`, `severity`, `kind`, `happened`, `onset`, `value`, `summary`, `reason`, `backfilled`, `decided_ms`
FROM `transitions_rows` FINAL
COMMENT 'Changes of state of alerts, exactly as decided then.';

CREATE TABLE IF NOT EXISTS `repairs_rows` (
    `site` LowCardinality(String) COMMENT 'Store',
    `day` String COMMENT 'Civil day of the store, ISO',
    `side` LowCardinality(String) COMMENT 'asked, or done',
    `mark` UInt64 COMMENT 'Grows with every request; pending while asked > done'
)
ENGINE = ReplacingMergeTree(mark)
ORDER BY (site, day, side)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Civil days of stores that late data asked to be computed again, and up to which request that was done.';

CREATE OR REPLACE VIEW `repairs` (
    `site` LowCardinality(String) COMMENT 'Store',
    `day` String COMMENT 'Civil day of the store, ISO',
    `side` LowCardinality(String) COMMENT 'asked, or done',
    `mark` UInt64 COMMENT 'Grows with every request; pending while asked > done'
)
AS SELECT `site`, `day`, `side`, `mark`
FROM `repairs_rows` FINAL
COMMENT 'Civil days of stores that late data asked to be computed again, and up to which request that was done.';

CREATE TABLE IF NOT EXISTS `progress_rows` (
    `topic` LowCardinality(String) COMMENT 'Topic of the log',
    `partition_no` UInt16 COMMENT 'Partition',
    `position` UInt64 COMMENT 'Everything before this position is stored',
    `log_ms` Int64 COMMENT 'Newest log timestamp before it, epoch ms'
)
ENGINE = ReplacingMergeTree(position)
ORDER BY (topic, partition_no)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'How far each partition of the log has been processed and stored. Written after everything before it is stored.';

CREATE OR REPLACE VIEW `progress` (
    `topic` LowCardinality(String) COMMENT 'Topic of the log',
    `partition_no` UInt16 COMMENT 'Partition',
    `position` UInt64 COMMENT 'Everything before this position is stored',
    `log_ms` Int64 COMMENT 'Newest log timestamp before it, epoch ms'
)
AS SELECT `topic`, `partition_no`, `position`, `log_ms`
FROM `progress_rows` FINAL
COMMENT 'How far each partition of the log has been processed and stored. Written after everything before it is stored.';

CREATE TABLE IF NOT EXISTS `sites_rows` (
    `site` LowCardinality(String) COMMENT 'Store',
    `site_name` String COMMENT 'Name for people',
    `zone` LowCardinality(String) COMMENT 'IANA time zone',
    `country` LowCardinality(String) COMMENT 'ISO country code',
    `capacity_operational` Nullable(UInt32) COMMENT 'Operational capacity, people',
    `capacity_legal` Nullable(UInt32) COMMENT 'Legal capacity, people',
    `loaded_ms` UInt64 COMMENT 'When the registry was loaded, epoch ms'
)
ENGINE = ReplacingMergeTree(loaded_ms)
ORDER BY (site)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'The registry as the lane last loaded it: one row per store.';

CREATE OR REPLACE VIEW `sites` (
    `site` LowCardinality(String) COMMENT 'Store',
    `site_name` String COMMENT 'Name for people',
    `zone` LowCardinality(String) COMMENT 'IANA time zone',
    `country` LowCardinality(String) COMMENT 'ISO country code',
    `capacity_operational` Nullable(UInt32) COMMENT 'Operational capacity, people',
    `capacity_legal` Nullable(UInt32) COMMENT 'Legal capacity, people',
    `loaded_ms` UInt64 COMMENT 'When the registry was loaded, epoch ms'
)
AS SELECT `site`, `site_name`, `zone`, `country`, `capacity_operational`, `capacity_legal`, `loaded_ms`
FROM `sites_rows` FINAL
COMMENT 'The registry as the lane last loaded it: one row per store.';

CREATE TABLE IF NOT EXISTS `lines_rows` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `device_name` String COMMENT 'Name of the device for people',
    `line` UInt16 COMMENT 'Line number',
    `line_name` String COMMENT 'Name of the line for people',
    `role` LowCardinality(String) COMMENT 'entrance, inner, outside, department, checkout or service',
    `loaded_ms` UInt64 COMMENT 'When the registry was loaded, epoch ms'
)
ENGINE = ReplacingMergeTree(loaded_ms)
ORDER BY (device, line)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'The registry as the lane last loaded it: one row per line.';

CREATE OR REPLACE VIEW `lines` (
    `site` LowCardinality(String) COMMENT 'Store',
    `device` LowCardinality(String) COMMENT 'Device',
    `device_name` String COMMENT 'Name of the device for people',
    `line` UInt16 COMMENT 'Line number',
    `line_name` String COMMENT 'Name of the line for people',
    `role` LowCardinality(String) COMMENT 'entrance, inner, outside, department, checkout or service',
    `loaded_ms` UInt64 COMMENT 'When the registry was loaded, epoch ms'
)
AS SELECT `site`, `device`, `device_name`, `line`, `line_name`, `role`, `loaded_ms`
FROM `lines_rows` FINAL
COMMENT 'The registry as the lane last loaded it: one row per line.';

INSERT INTO schema_version (version, program, layout, applied_ms) VALUES (1, '0.1.0', '', 1);
