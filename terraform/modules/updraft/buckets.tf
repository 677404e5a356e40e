# Three buckets, none of them public; clusters' own are made by control, which removes old logs itself (ARCHITECTURE.md 28):
# rules here only tidy what no program looks after.

locals {
  buckets = {
    artifacts = { versioned = true, keep_old_days = 90 }  # releases, environments, runtimes: what nodes boot from
    audit     = { versioned = true, keep_old_days = 365 } # what happened, for whoever asks later
    access    = { versioned = false, keep_old_days = 1 }  # the balancers' and buckets' own logs
  }
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18: aws_s3_bucket_logging.this does, for all but the bucket that holds these logs
  # checkov:skip=CKV_AWS_21: aws_s3_bucket_versioning.this does, where objects are not content-addressed or logs
  # checkov:skip=CKV_AWS_144: a second region is the installation's to choose and pay for: docs/runbook.md, "What is kept"
  # checkov:skip=CKV_AWS_145: balancers write only to a bucket with S3's own keys; all others have the installation's
  # checkov:skip=CKV2_AWS_62: nothing waits for events of these buckets
  for_each      = local.buckets
  bucket        = "${var.name}-${each.key}-${local.account}-${local.region}"
  force_destroy = !var.protect
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = local.buckets
  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = each.value.versioned ? "Enabled" : "Suspended"
  }
}

# Balancers write their logs with S3's own keys only
# (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html).
resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = each.key == "access" ? "AES256" : "aws:kms"
      kms_master_key_id = each.key == "access" ? null : aws_kms_key.this.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  # checkov:skip=CKV_AWS_300: the rule "unfinished" does; beside dynamic rules it is not seen
  for_each   = local.buckets
  bucket     = aws_s3_bucket.this[each.key].id
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    id     = "unfinished"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = each.value.keep_old_days
    }
  }

  dynamic "rule" {
    for_each = each.key == "artifacts" ? ["boot/"] : []

    content {
      id     = "boot-logs"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      expiration {
        days = 14
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "access" ? [var.log_retention_days] : []

    content {
      id     = "access-logs"
      status = "Enabled"
      filter {}

      expiration {
        days = rule.value
      }
    }
  }
}

resource "aws_s3_bucket_logging" "this" {
  for_each      = { for name, bucket in local.buckets : name => bucket if name != "access" }
  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.this["access"].id
  target_prefix = "s3/${each.key}/"
}

locals {
  only_tls = { for name, bucket in aws_s3_bucket.this : name => {
    Sid       = "OnlyTls"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [bucket.arn, "${bucket.arn}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  } }

  access_logs = [
    {
      Sid       = "BalancersWriteTheirLogs"
      Effect    = "Allow"
      Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${aws_s3_bucket.this["access"].arn}/balancers/front/AWSLogs/${local.account}/*"
    },
    {
      Sid       = "BucketsWriteTheirLogs"
      Effect    = "Allow"
      Principal = { Service = "logging.s3.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${aws_s3_bucket.this["access"].arn}/s3/*"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    },
  ]
}

resource "aws_s3_bucket_policy" "this" {
  for_each   = local.buckets
  bucket     = aws_s3_bucket.this[each.key].id
  depends_on = [aws_s3_bucket_public_access_block.this]

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.only_tls[each.key]], [for statement in local.access_logs : statement if each.key == "access"])
  })
}
