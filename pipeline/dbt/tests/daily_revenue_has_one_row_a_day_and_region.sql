{{ config(tags=['full']) }}

select
    order_date,
    region
from {{ ref('daily_revenue') }}
group by order_date, region
having count(*) > 1
