# What a tenant gives Updraft in the tenant's own account: one role that control assumes, and roles for nodes.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  ec2       = "arn:${local.partition}:ec2:*:${local.account}"
  ours      = { "aws:ResourceTag/updraft:installation" = var.installation }
  here      = { StringEquals = { "aws:RequestedRegion" = var.regions } }
  tags      = merge({ "updraft:installation" = var.installation }, var.tags)

  look = {
    Sid    = "LookAround"
    Effect = "Allow"
    Action = [
      "ec2:DescribeImages", "ec2:DescribeInstanceStatus", "ec2:DescribeInstances", "ec2:DescribeRouteTables",
      "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVolumes", "ec2:DescribeVpcEndpoints",
    ]
    Resource  = "*"
    Condition = local.here
  }

  # Where an image is named by a parameter: AWS's public ones, and those that the tenant names.
  image_parameter = {
    Sid      = "ImageByParameter"
    Effect   = "Allow"
    Action   = ["ssm:GetParameter", "ssm:GetParameters"]
    Resource = concat(["arn:${local.partition}:ssm:*::parameter/aws/service/*"], var.image_parameter_arns)
  }

  start = [
    {
      Sid      = "StartItsOwnInstances"
      Effect   = "Allow"
      Action   = "ec2:RunInstances"
      Resource = "${local.ec2}:instance/*"
      Condition = {
        StringEquals = {
          "aws:RequestTag/updraft:installation" = var.installation
          "aws:RequestedRegion"                 = var.regions
          "ec2:MetadataHttpTokens"              = "required"
        }
        StringLike = { "ec2:InstanceType" = var.instance_types }
      }
    },
    {
      Sid      = "WithDisksOfItsOwn"
      Effect   = "Allow"
      Action   = "ec2:RunInstances"
      Resource = "${local.ec2}:volume/*"
      Condition = {
        StringEquals = { "aws:RequestTag/updraft:installation" = var.installation }
        Bool         = { "ec2:Encrypted" = "true" }
      }
    },
    {
      Sid       = "WithInterfacesOfItsOwn"
      Effect    = "Allow"
      Action    = "ec2:RunInstances"
      Resource  = "${local.ec2}:network-interface/*"
      Condition = { StringEquals = { "aws:RequestTag/updraft:installation" = var.installation } }
    },
    {
      Sid      = "WhereTheTenantSays"
      Effect   = "Allow"
      Action   = "ec2:RunInstances"
      Resource = concat(var.subnet_arns, var.security_group_arns, var.key_pair_arns, ["arn:${local.partition}:ec2:*::image/*", "${local.ec2}:image/*"])
    },
    {
      Sid       = "TagWhatItStarts"
      Effect    = "Allow"
      Action    = "ec2:CreateTags"
      Resource  = ["${local.ec2}:instance/*", "${local.ec2}:volume/*", "${local.ec2}:network-interface/*"]
      Condition = { StringEquals = { "ec2:CreateAction" = "RunInstances" } }
    },
  ]

  end = {
    Sid       = "EndStopAndResumeItsOwn"
    Effect    = "Allow"
    Action    = ["ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"]
    Resource  = "${local.ec2}:instance/*"
    Condition = { StringEquals = local.ours }
  }

  pass = {
    Sid       = "GiveNodesTheirRolesAndNoOthers"
    Effect    = "Allow"
    Action    = "iam:PassRole"
    Resource  = [for role in aws_iam_role.node : role.arn]
    Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
  }

  # AWS's own role for spot instances, which the first of them in an account needs.
  spot = {
    Sid       = "FirstSpotInstance"
    Effect    = "Allow"
    Action    = "iam:CreateServiceLinkedRole"
    Resource  = "arn:${local.partition}:iam::${local.account}:role/aws-service-role/spot.amazonaws.com/*"
    Condition = { StringEquals = { "iam:AWSServiceName" = "spot.amazonaws.com" } }
  }

  disks = {
    Sid       = "DisksWithTheTenantsKeys"
    Effect    = "Allow"
    Action    = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"]
    Resource  = var.kms_key_arns
    Condition = { StringLike = { "kms:ViaService" = "ec2.*.amazonaws.com" } }
  }
}

resource "aws_iam_role" "updraft" {
  name                 = "${var.name}-control"
  description          = "Assumed by Updraft to start and end this tenant's nodes"
  max_session_duration = 3600
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = var.updraft_role_arn }
      Condition = { StringEquals = { "sts:ExternalId" = var.external_id } }
    }]
  })
}

resource "aws_iam_role_policy" "updraft" {
  name = "nodes"
  role = aws_iam_role.updraft.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.look, local.image_parameter, local.end, local.pass, local.spot], local.start, [for statement in [local.disks] : statement if length(var.kms_key_arns) > 0])
  })
}

resource "aws_iam_role" "node" {
  for_each    = var.nodes
  name        = "${var.name}-node-${each.key}"
  description = "Nodes of Updraft: ${each.key}"
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "node" {
  for_each = var.nodes
  name     = "prefixes"
  role     = aws_iam_role.node[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for places in [each.value.writes] : {
        Sid      = "WriteBelowItsPrefixes"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        Resource = [for place in places : "arn:${local.partition}:s3:::${place}*"]
      } if length(places) > 0],
      [for places in [each.value.reads] : {
        Sid      = "ReadOnly"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = [for place in places : "arn:${local.partition}:s3:::${place}*"]
      } if length(places) > 0],
      [for index, place in concat(each.value.writes, each.value.reads) : {
        Sid       = "List${index}"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = "arn:${local.partition}:s3:::${split("/", place)[0]}"
        Condition = { StringLike = { "s3:prefix" = "${join("/", slice(split("/", place), 1, length(split("/", place))))}*" } }
      }],
    )
  })
}

resource "aws_iam_instance_profile" "node" {
  for_each = var.nodes
  name     = aws_iam_role.node[each.key].name
  role     = aws_iam_role.node[each.key].name
  tags     = local.tags
}
